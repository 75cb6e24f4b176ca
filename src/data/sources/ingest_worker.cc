#include "data/sources/ingest_worker.h"

#include <algorithm>
#include <array>

#include "base/error_table.h"
#include "base/id.h"
#include "base/log.h"
#include "data/sources/blob_collector.h"
#include "data/sources/sentence_vectors.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr std::int64_t kMicrosPerToken = 1'000;  // for reservations, as for embeddings over HTTP; the settlement is measured

std::int64_t number(JobStatus status) { return static_cast<int>(status); }
std::int64_t number(FileStatus status) { return static_cast<int>(status); }
std::int64_t number(DocumentStatus status) { return static_cast<int>(status); }

}  // namespace

Result<bool> IngestWorker::record(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, std::int64_t ordinal, FileStatus status,
                                  const StoredFileName& file) {
  STOA_TRY(sealed, seal_file(keys, job, ordinal, file));
  STOA_TRY(changed, transaction.execute("UPDATE ingest_files SET status = ?, sealed = ? WHERE job = ? AND ordinal = ? AND status = ? AND EXISTS "
                                        "(SELECT 1 FROM ingest_jobs WHERE id = ? AND status = ?)",
                                        {number(status), sealed, job, ordinal, number(FileStatus::kPending), job, number(JobStatus::kRunning)}));
  if (changed == 0) return false;
  STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET done = done + 1, failed = failed + ?, unchanged = unchanged + ? WHERE id = ?",
                                 {std::int64_t{status == FileStatus::kFailed}, std::int64_t{status == FileStatus::kUnchanged}, job}));
  return true;
}

Status IngestWorker::add_up(infra::SqlTransaction& transaction, const Task& task, std::int64_t chunks, const Prepared& prepared) {
  STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET bytes = bytes + ?, chunks = chunks + ?, tokens = tokens + ?, compute_micros = compute_micros + ? WHERE id = ?",
                                 {task.bytes, chunks, prepared.tokens, prepared.compute_micros, task.job.id}));
  return {};
}

Result<IngestWorker::Job> IngestWorker::read_job(const std::string& id, governance::ProjectKeys keys) {
  STOA_TRY(row, catalog_.sql_.query_one("SELECT id, collection, principal, access, prune, attach, reindex, chunk_tokens, sealed FROM ingest_jobs WHERE id = ?", {id}));
  if (!row) return fail(ErrorCode::kUnavailable, "the job {} was removed", id);
  Job job;
  std::string principal, access;
  Bytes sealed;
  STOA_CHECK(row->read(job.id, job.collection, principal, access, job.prune, job.attach, job.reindex, job.chunk_tokens, sealed));
  STOA_TRY(who, principal_from_json(principal));
  STOA_TRY(list, AccessList::parse(access));
  STOA_TRY(record, governance::open_record(keys, governance::row_context("ingest_jobs", id), sealed, 2));
  STOA_TRY(parsed, attributes_from_json(record.fields[1]));
  job.principal = std::move(who);
  job.access = std::move(list);
  job.source = record.text(0);
  job.attributes = std::move(parsed);
  if (record.fields.size() > 2) {
    STOA_TRY(settings, settings_from_json(record.fields[2]));
    job.settings = std::move(settings);
  }
  job.keys = std::move(keys);
  return job;
}

Result<std::optional<IngestWorker::Task>> IngestWorker::next_file(const Job& job) {
  STOA_TRY(row, catalog_.sql_.query_one("SELECT ordinal, bytes, content_type, document, sealed FROM ingest_files WHERE job = ? AND status = ? "
                                        "ORDER BY ordinal LIMIT 1",
                                        {job.id, number(FileStatus::kPending)}));
  if (!row) return std::optional<Task>();
  Task task;
  task.job = job;
  Bytes sealed;
  STOA_CHECK(row->read(task.ordinal, task.bytes, task.content_type, task.document, sealed));
  STOA_TRY(file, open_file(*job.keys, job.id, task.ordinal, sealed));
  task.path = std::move(file.path);
  task.digest = std::move(file.digest);
  return task;
}

// The document this file replaces: of its path in its source, among those the job's principal may see. Another's document of the
// same path is not touched, nor is it told of.
Result<std::optional<StoredDocument>> IngestWorker::existing(const Task& task) {
  const std::string by = task.job.attach ? "d.collection = ? AND d.id = ?" : "d.collection = ? AND d.source_tag = ? AND d.path_tag = ?";
  infra::SqlParams params{task.job.collection};
  if (task.job.attach) {
    params.emplace_back(task.document);
  } else {
    params.insert(params.end(), {source_tag(task.keys(), task.job.source), path_tag(task.keys(), task.job.source, task.path)});
  }
  STOA_TRY(rows, catalog_.sql_.query(fmt::format("SELECT {} FROM documents d WHERE {} ORDER BY d.id", kDocumentColumns, by), params));
  for (const auto& row : rows) {
    STOA_TRY(stored, read_document(row, task.keys()));
    if (may_see(task.job.principal, stored)) return std::move(stored);
  }
  return std::optional<StoredDocument>();
}

std::string IngestWorker::model_of(const CollectionSettings& settings) const {
  if (!settings.embedding_model.empty()) return settings.embedding_model;
  return embedders_.standard() == nullptr ? std::string() : embedders_.standard()->model();
}

Status IngestWorker::process(Task task) {
  STOA_TRY(settings, settings_of(task));
  if (!settings) return record_failure(task, error(ErrorCode::kNotFound, "the collection was removed before the file was read"));
  task.settings = std::move(*settings);
  const auto embedder = embedders_.find(task.settings.embedding_model);
  if (!embedder) return record_failure(task, embedder.error());
  task.embedder = *embedder;
  return task.job.reindex ? stage(task) : bring_in(task);
}

Result<std::optional<CollectionSettings>> IngestWorker::settings_of(const Task& task) {
  if (task.job.reindex) return task.job.settings;
  STOA_TRY(row, catalog_.sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {task.job.collection, task.keys().project()}));
  if (!row) return std::optional<CollectionSettings>();
  STOA_TRY(collection, read_collection(*row, task.keys(), 0));
  if (task.job.chunk_tokens != 0) collection.settings.chunk_tokens = task.job.chunk_tokens;
  return std::move(collection.settings);
}

Status IngestWorker::bring_in(const Task& task) {
  STOA_TRY(old, existing(task));
  const Document* document = old ? &old->document : nullptr;
  if (task.job.attach && document == nullptr) {
    return record_failure(task, error(ErrorCode::kNotFound, "the document was removed before it was read"));
  }
  if (document != nullptr && document->status == DocumentStatus::kCompleted && document->digest == task.digest && old->embedding_model == task.model()) {
    return relabel(task, *old);
  }
  auto prepared = prepare(task);
  if (!prepared && prepared.error().code == ErrorCode::kCancelled) return {};  // not recorded: where the job still runs, its file is taken up again
  if (!prepared) return record_failure(task, prepared.error());
  // That may have taken hours, in which the document got other readers or was removed.
  STOA_TRY(now, existing(task));
  if (task.job.attach && !now) return record_failure(task, error(ErrorCode::kNotFound, "the document was removed while its file was read"));
  return commit(task, now, std::move(*prepared));
}

// A long file is made in several turns of its job, others between them.
Result<IngestWorker::Prepared> IngestWorker::prepare(const Task& task) {
  auto node = begun_.extract(task.job.id);
  Begun begun;
  if (!node.empty() && node.mapped().ordinal == task.ordinal && node.mapped().chunk_tokens == task.settings.chunk_tokens && node.mapped().model == task.model()) {
    begun = std::move(node.mapped());
  } else {
    STOA_TRY(fresh, begin(task));
    begun = std::move(fresh);
  }
  if (task.embedder == nullptr) return std::move(begun.prepared);
  STOA_CHECK(embed(task, begun.prepared));
  if (begun.prepared.vectors.size() < begun.prepared.chunks.size()) {
    begun_.emplace(task.job.id, std::move(begun));
    return fail(ErrorCode::kCancelled, "others have their turns");
  }
  if (begun.reservation.open()) {
    Usage usage;
    usage.prompt_tokens = begun.prepared.tokens;
    usage.compute_micros = begun.prepared.compute_micros;
    STOA_CHECK(ledger_->settle(begun.reservation, usage));
  }
  return std::move(begun.prepared);
}

Result<IngestWorker::Begun> IngestWorker::begin(const Task& task) {
  Begun begun{.ordinal = task.ordinal, .chunk_tokens = task.settings.chunk_tokens, .model = task.model(), .project = task.keys().project()};
  Prepared& prepared = begun.prepared;
  STOA_TRY(bytes, catalog_.blobs_.get(task.keys(), task.digest, limits_.parse.max_bytes));
  ParseLimits parse = limits_.parse;
  parse.deadline = Deadline::after(limits_.max_parse_time);
  STOA_TRY(parsed, parse_document(bytes, task.path, task.content_type, parse));
  prepared.parsed = std::move(parsed);
  const TokenCounter counter = task.embedder == nullptr ? TokenCounter(approximate_tokens)
                                                        : TokenCounter([&](const std::string& text) { return task.embedder->count_tokens(text); });
  ChunkOptions options = limits_.chunk;
  if (task.settings.chunk_tokens > 0) options.target_tokens = options.max_tokens = task.settings.chunk_tokens;
  if (task.embedder != nullptr) options.max_tokens = std::min(options.max_tokens, task.embedder->max_tokens());
  options.target_tokens = std::min(options.target_tokens, options.max_tokens);
  STOA_TRY(chunks, chunk_document(prepared.parsed, counter, options));
  prepared.chunks = std::move(chunks);
  prepared.parsed.blocks.clear();
  if (task.embedder == nullptr || ledger_ == nullptr || prepared.chunks.empty()) return begun;
  // Reserve, embed, settle: what was settled before a crash and not committed is done again, and not paid again.
  Usage estimate;
  for (const Chunk& chunk : prepared.chunks) estimate.prompt_tokens += static_cast<std::int64_t>(chunk.indexed_text().size()) / 2 + 2;  // twice: as a whole, and by sentences
  estimate.compute_micros = estimate.prompt_tokens * kMicrosPerToken;
  STOA_TRY(cost, ledger_->prices().cost(task.model(), estimate));
  auto reservation = ledger_->reserve(call_of(task), "ingest", task.model(), cost);
  if (!reservation && reservation.error().code != ErrorCode::kConflict) return fail(std::move(reservation).error());
  if (reservation) begun.reservation = std::move(*reservation);
  return begun;
}

Call IngestWorker::call_of(const Task& task) const {
  Call call = Call::of(task.job.principal);
  call.request_id = fmt::format("{}.{}", task.job.id, task.ordinal);
  call.cancel = cancel_;
  return call;
}

Status IngestWorker::embed(const Task& task, Prepared& prepared) {
  const std::span<const Chunk> all(prepared.chunks);
  const auto left = [&] {
    std::lock_guard lock(mutex_);
    embedded_[task.job.id] = {static_cast<std::int64_t>(prepared.vectors.size()), static_cast<std::int64_t>(all.size())};
    return all.subspan(prepared.vectors.size());
  };
  const Deadline turn = Deadline::after(limits_.max_turn);
  for (auto rest = left(); !rest.empty() && !(turn.passed() && may_wait(prepared)); rest = left())
    STOA_CHECK(embed_some(task, rest.first(std::min(limits_.batch, rest.size())), prepared));
  return {};
}

// Together, files that wait for their turns are no more than one file may be.
bool IngestWorker::may_wait(const Prepared& prepared) const {
  std::size_t chunks = prepared.chunks.size();
  for (const auto& [job, begun] : begun_) chunks += begun.prepared.chunks.size();
  return chunks <= limits_.chunk.max_chunks;
}

Status IngestWorker::check_wanted(const Task& task) {
  if (stopping()) return fail(ErrorCode::kCancelled, "the server ends");
  STOA_TRY(running, catalog_.sql_.query_one("SELECT 1 FROM ingest_jobs WHERE id = ? AND status = ?", {task.job.id, number(JobStatus::kRunning)}));
  if (!running) return fail(ErrorCode::kCancelled, "the job was cancelled");
  const auto keys = catalog_.blobs_.sealer().project(task.keys().project());
  if (!keys && keys.error().code == ErrorCode::kPermissionDenied) return fail(ErrorCode::kCancelled, "the project's key was revoked");
  return {};
}

Status IngestWorker::embed_some(const Task& task, std::span<const Chunk> chunks, Prepared& prepared) {
  std::vector<std::string> texts;
  for (const Chunk& chunk : chunks) texts.push_back(chunk.indexed_text());
  STOA_TRY(vectors, embed_texts(task, texts, prepared));
  const std::size_t width = texts.empty() ? 0 : vectors.size() / texts.size();
  for (auto at = vectors.begin(); at != vectors.end(); at += static_cast<std::ptrdiff_t>(width)) prepared.vectors.emplace_back(at, at + static_cast<std::ptrdiff_t>(width));

  std::vector<std::vector<SentencePlace>> places;
  texts.clear();
  for (const Chunk& chunk : chunks) {
    places.push_back(sentence_places(chunk.text));
    for (const SentencePlace place : places.back()) texts.push_back(chunk.text.substr(place.begin, place.end - place.begin));
  }
  STOA_TRY(sentences, embed_texts(task, texts, prepared));
  std::span<const float> rest(sentences);
  for (const auto& of : places) {
    prepared.sentences.push_back(pack_sentences(of, rest.first(of.size() * width)));
    rest = rest.subspan(of.size() * width);
  }
  return {};
}

Result<std::vector<float>> IngestWorker::embed_texts(const Task& task, std::span<const std::string> texts, Prepared& prepared) {
  Embedder& embedder = *task.embedder;
  Call call = call_of(task);
  std::vector<float> values;
  for (; !texts.empty(); texts = texts.subspan(std::min(limits_.batch, texts.size()))) {
    STOA_CHECK(check_wanted(task));  // a long file takes hours, and is given up within a batch
    const auto some = texts.first(std::min(limits_.batch, texts.size()));
    call.deadline = Deadline::after(limits_.max_batch_time);
    STOA_TRY(embedded, embedder.embed(call, some));
    if (embedded.dimensions != embedder.dimensions() || embedded.values.size() != some.size() * static_cast<std::size_t>(embedded.dimensions))
      return fail(ErrorCode::kInternal, "{} gave vectors of a wrong shape", embedder.model());
    const std::span<const float> rows(embedded.values);
    for (std::size_t i = 0; i < some.size(); ++i)
      if (!has_direction(rows.subspan(i * static_cast<std::size_t>(embedded.dimensions), static_cast<std::size_t>(embedded.dimensions))))
        return fail(ErrorCode::kInternal, "{} gave a vector that is zero or not finite", embedder.model());
    values.insert(values.end(), embedded.values.begin(), embedded.values.end());
    for (const int tokens : embedded.tokens) prepared.tokens += tokens;
    prepared.compute_micros += embedded.compute_micros;
  }
  return values;
}

Status IngestWorker::commit(const Task& task, const std::optional<StoredDocument>& old, Prepared prepared) {
  const governance::ProjectKeys& keys = task.keys();
  Document document{.id = old ? old->document.id : new_id("doc"), .collection = task.job.collection, .source = task.job.source, .path = task.path};
  document.title = prepared.parsed.title;
  document.digest = task.digest;
  document.access = task.job.attach && old ? old->document.access : task.job.access;
  document.attributes = task.job.attach && old ? old->document.attributes : task.job.attributes;
  const std::string& id = document.id;
  const std::string address = governance::SealedBlobs::address_of(keys, task.digest);
  const auto count = static_cast<std::int64_t>(prepared.chunks.size());
  STOA_TRY(sealed_document, seal_document(keys, document));
  IndexedDocument indexed{id, document.access, document.attributes, {}, task.job.principal.id};
  return catalog_.write(task.job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(mine, record(transaction, keys, task.job.id, task.ordinal, FileStatus::kDone, {task.path, task.digest, {}}));
    if (!mine) return {};
    if (old) {
      STOA_CHECK(transaction.execute("DELETE FROM chunks WHERE document = ?", {id}));
      STOA_TRY(changed, transaction.execute("UPDATE documents SET sealed = ?, content_type = ?, digest = ?, bytes = ?, chunks = ?, access = ?, "
                                            "status = ?, owner = ?, embedding_model = ?, generation = '' WHERE id = ?",
                                            {sealed_document, prepared.parsed.content_type, address, task.bytes, count, document.access.key(),
                                             number(DocumentStatus::kCompleted), task.job.principal.id, task.model(), id}));
      if (changed == 0) return fail(ErrorCode::kUnavailable, "the document {} was removed while its file was read", id);
    } else {
      STOA_CHECK(transaction.execute(
          "INSERT INTO documents (id, collection, source, path, source_tag, path_tag, file_id, title, content_type, digest, bytes, chunks, access, attributes, "
          "sealed, status, error_code, error, created, owner, embedding_model) VALUES (?, ?, '', '', ?, ?, '', '', ?, ?, ?, ?, ?, '', ?, ?, 0, '', ?, ?, ?)",
          {id, task.job.collection, source_tag(keys, document.source), path_tag(keys, document.source, document.path), prepared.parsed.content_type, address,
           task.bytes, count, document.access.key(), sealed_document, number(DocumentStatus::kCompleted), catalog_.clock_.now(), task.job.principal.id, task.model()}));
    }
    STOA_TRY(inserted, insert_chunks(transaction, keys, id, prepared, ""));
    indexed.chunks = std::move(inserted);
    STOA_CHECK(add_up(transaction, task, count, prepared));
    transaction.on_commit([&] {
      if (auto put = catalog_.index_.put(task.job.collection, std::move(indexed)); !put) log_error("a document is stored but not searchable until the next start", put.error());
    });
    if (old) STOA_CHECK(tell_changed(catalog_.events_, transaction, std::array{id}));
    if (old && old->document.digest != task.digest)
      STOA_CHECK(release_blobs(catalog_.events_, transaction, std::array{governance::SealedBlobs::address_of(keys, old->document.digest)}));
    return {};
  });
}

Result<std::vector<IndexedChunk>> IngestWorker::insert_chunks(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& document,
                                                              Prepared& prepared, const std::string& generation) {
  std::vector<IndexedChunk> inserted;
  const auto count = static_cast<std::int64_t>(prepared.chunks.size());
  STOA_CHECK(transaction.execute("UPDATE chunk_keys SET last = last + ?", {count}));
  STOA_TRY(last, transaction.query_one("SELECT last FROM chunk_keys"));
  if (!last) return fail(ErrorCode::kDataLoss, "the table of chunk keys is empty");
  STOA_TRY(top, last->get<std::int64_t>(0));
  for (std::size_t i = 0; i < prepared.chunks.size(); ++i) {
    Chunk& chunk = prepared.chunks[i];
    const ChunkKey key = top - count + 1 + static_cast<std::int64_t>(i);
    std::vector<float> vector = prepared.vectors.empty() ? std::vector<float>() : std::move(prepared.vectors[i]);
    STOA_TRY(sealed, seal_chunk(keys, key, chunk, vector, prepared.sentences.empty() ? std::string_view() : prepared.sentences[i]));
    STOA_CHECK(transaction.execute(
        "INSERT INTO chunks (key, id, document, ordinal, parent, section, anchor, page, prefix, text, sealed, generation) VALUES (?, ?, ?, ?, ?, '', '', ?, '', '', ?, ?)",
        {key, new_id("chunk"), document, static_cast<std::int64_t>(i), std::int64_t{chunk.parent}, std::int64_t{chunk.page}, sealed, generation}));
    inserted.push_back({key, chunk.indexed_text(), std::move(vector)});
  }
  return inserted;
}

Status IngestWorker::relabel(const Task& task, const StoredDocument& old) {
  StoredDocument stored = old;
  Document& document = stored.document;
  const bool same = task.job.attach || (document.access == task.job.access && document.attributes == task.job.attributes);
  document.access = task.job.access;
  document.attributes = task.job.attributes;
  stored.owner = task.job.principal.id;
  STOA_TRY(sealed, seal_document(task.keys(), document));
  return catalog_.write(task.job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(mine, record(transaction, task.keys(), task.job.id, task.ordinal, same ? FileStatus::kUnchanged : FileStatus::kDone, {task.path, task.digest, {}}));
    if (!mine || same) return {};
    STOA_CHECK(transaction.execute("UPDATE documents SET access = ?, sealed = ?, owner = ? WHERE id = ?",
                                   {document.access.key(), sealed, stored.owner, document.id}));
    transaction.on_commit([&] { catalog_.relabel_indexed(task.keys(), stored); });
    return {};
  });
}

Status IngestWorker::record_failure(const Task& task, const Error& error) {
  // The log may lie where the data lies, and the message names the file: who may read that asks for the job's progress.
  log(LogLevel::kWarning, "a file was not ingested",
      {{"job", task.job.id}, {"file", task.ordinal + 1}, {"error", std::string(error_info(error.code).name)}});
  const std::string message = error.hint.empty() ? error.message : error.message + " (" + error.hint + ")";
  return catalog_.write(task.job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(mine, record(transaction, task.keys(), task.job.id, task.ordinal, FileStatus::kFailed, {task.path, task.digest, message}));
    if (!mine || !task.job.attach) return {};
    STOA_TRY(row, transaction.query_one(fmt::format("SELECT {} FROM documents d WHERE d.id = ?", kDocumentColumns), {task.document}));
    if (!row) return {};  // removed meanwhile
    STOA_TRY(stored, read_document(*row, task.keys()));
    stored.document.error = message;
    STOA_TRY(sealed, seal_document(task.keys(), stored.document));
    STOA_CHECK(transaction.execute("UPDATE documents SET status = ?, error_code = ?, sealed = ? WHERE id = ?",
                                   {number(DocumentStatus::kFailed), std::int64_t{static_cast<int>(error.code)}, sealed, task.document}));
    return {};
  });
}

Status IngestWorker::finish(const Job& job) {
  if (job.reindex) return turn_over(job);
  std::vector<std::string> gone;
  if (job.prune) {
    STOA_CHECK(catalog_.sql_.for_each(
        fmt::format("SELECT {} FROM documents d WHERE d.collection = ? AND d.source_tag = ? AND NOT EXISTS "
                    "(SELECT 1 FROM ingest_files f WHERE f.job = ? AND f.path_tag = d.path_tag)", kDocumentColumns),
        {job.collection, source_tag(*job.keys, job.source), job.id}, [&](const SqlRow& row) -> Result<bool> {
          STOA_TRY(stored, read_document(row, *job.keys));
          if (may_see(job.principal, stored)) gone.push_back(stored.document.id);
          return true;
        }));
  }
  return catalog_.write(job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    for (const auto& id : gone) STOA_CHECK(catalog_.remove_documents(transaction, "d.id = ?", {id}));
    // From here on only documents name the bytes of the files that failed.
    STOA_TRY(digests, distinct_digests(transaction, "SELECT digest FROM ingest_files WHERE job = ? AND status = ?", {job.id, number(FileStatus::kFailed)}));
    STOA_CHECK(release_blobs(catalog_.events_, transaction, digests));
    STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET status = ?, removed = ? WHERE id = ? AND status = ?",
                                   {number(JobStatus::kCompleted), static_cast<std::int64_t>(gone.size()), job.id, number(JobStatus::kRunning)}));
    if (job.attach) STOA_CHECK(transaction.execute("DELETE FROM ingest_jobs WHERE id = ?", {job.id}));  // its document tells the outcome
    return {};
  });
}

}  // namespace stoa::data
