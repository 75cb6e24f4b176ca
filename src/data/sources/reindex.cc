// Collections made anew beside what is searched: passages wait in rows of a generation that is called after their job until all are there, the index of them is made under a name of
// its own, and one transaction turns both over: from then on it is their generation that the documents have. What it costs depends on the number of documents, not of passages; those
// that were replaced are deleted afterwards. What a crash leaves is a job that goes on.
#include <algorithm>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "data/index/analysis/languages.h"
#include "data/sources/blob_collector.h"
#include "data/sources/index_snapshots.h"
#include "data/sources/ingest_jobs.h"
#include "data/sources/ingest_worker.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr int kMinChunkTokens = 16, kMaxChunkTokens = 8192;

std::int64_t number(JobStatus status) { return static_cast<int>(status); }
std::int64_t number(FileStatus status) { return static_cast<int>(status); }
std::int64_t number(DocumentStatus status) { return static_cast<int>(status); }

Result<CollectionSettings> wanted_settings(const CollectionSettings& now, const ReindexSpec& spec) {
  CollectionSettings wanted = now;
  if (spec.language) {
    const Language* language = find_language(*spec.language);
    if (language == nullptr) {
      std::string known;
      for (const Language& one : languages()) known += (known.empty() ? "" : ", ") + std::string(one.name);
      return fail(error(ErrorCode::kInvalidArgument, "'{}' is no language that words are known of", spec.language->substr(0, 40)).with_param("language").with_hint("use one of " + known));
    }
    wanted.language = language->name;
  }
  if (spec.chunk_tokens) {
    if (*spec.chunk_tokens != 0 && (*spec.chunk_tokens < kMinChunkTokens || *spec.chunk_tokens > kMaxChunkTokens))
      return fail(error(ErrorCode::kInvalidArgument, "passages of {} tokens: {} to {}, or 0 for what the server says", *spec.chunk_tokens, kMinChunkTokens, kMaxChunkTokens).with_param("chunk_tokens"));
    wanted.chunk_tokens = *spec.chunk_tokens;
  }
  if (spec.embedding_model) wanted.embedding_model = *spec.embedding_model;
  return wanted;
}

// Documents of the collection that are searched.
Result<std::vector<StoredDocument>> completed(infra::SqlSession& session, const governance::ProjectKeys& keys, const std::string& collection) {
  std::vector<StoredDocument> documents;
  STOA_CHECK(session.for_each(fmt::format("SELECT {} FROM documents d WHERE d.collection = ? AND d.status = ? AND d.chunks > 0", kDocumentColumns),
                              {collection, number(DocumentStatus::kCompleted)}, [&](const SqlRow& row) -> Result<bool> {
                                STOA_TRY(stored, read_document(row, keys));
                                documents.push_back(std::move(stored));
                                return true;
                              }));
  return documents;
}

}  // namespace

Result<std::string> Ingest::reindex(const Call& call, const ReindexSpec& spec) {
  STOA_TRY(collection, catalog_.collection(call, spec.collection));
  STOA_TRY(settings, wanted_settings(collection.settings, spec));
  if (const auto embedder = worker_->embedders().find(settings.embedding_model); !embedder) return fail(Error(embedder.error()).with_param("embedding_model"));
  STOA_TRY(keys, catalog_.keys(call));
  NewJob job{.id = new_id("job"), .collection = collection.id, .source = worker_->model_of(settings), .reindex = true, .status = JobStatus::kRunning};
  job.settings = settings;
  STOA_CHECK(catalog_.write(collection.id, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(other, transaction.query_one("SELECT id FROM ingest_jobs WHERE collection = ? AND reindex = 1 AND status = ?", {collection.id, number(JobStatus::kRunning)}));
    if (other) {
      STOA_TRY(id, other->get<std::string>(0));
      return fail(error(ErrorCode::kConflict, "the job {} makes this collection anew already", id).with_hint("wait for it, or cancel it"));
    }
    STOA_CHECK(insert_job(transaction, keys, catalog_.events_, call.principal, job, catalog_.clock_.now(), limits_.max_jobs));
    STOA_TRY(added, worker_->add_documents(transaction, keys, job.id, job.collection));
    static_cast<void>(added);
    return {};
  }));
  worker_->wake();
  return job.id;
}

Result<std::size_t> IngestWorker::add_documents(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, const std::string& collection) {
  // One that was read as it is now is left alone: its passages wait, or it could not be read.
  std::vector<StoredDocument> documents;
  STOA_CHECK(transaction.for_each(fmt::format("SELECT {} FROM documents d WHERE d.collection = ? AND d.status = ? AND d.chunks > 0 AND NOT EXISTS "
                                              "(SELECT 1 FROM ingest_files f WHERE f.job = ? AND f.document = d.id AND f.digest = d.digest AND (f.status <> ? OR EXISTS "
                                              "(SELECT 1 FROM chunks k WHERE k.document = d.id AND k.generation = f.job))) ORDER BY d.id", kDocumentColumns),
                                  {collection, number(DocumentStatus::kCompleted), job, number(FileStatus::kDone)}, [&](const SqlRow& row) -> Result<bool> {
                                    STOA_TRY(stored, read_document(row, keys));
                                    documents.push_back(std::move(stored));
                                    return true;
                                  }));
  if (documents.empty()) return 0;
  STOA_TRY(top, transaction.query_one("SELECT COALESCE(MAX(ordinal), -1) FROM ingest_files WHERE job = ?", {job}));
  STOA_TRY(ordinal, top->get<std::int64_t>(0));
  for (const StoredDocument& stored : documents) {
    const Document& document = stored.document;
    STOA_CHECK(transaction.execute("DELETE FROM ingest_files WHERE job = ? AND document = ?", {job, document.id}));
    STOA_CHECK(insert_file(transaction, keys, job, document.source, ++ordinal, {document.path, document.digest, document.bytes, document.content_type}, document.id, true));
  }
  STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET total = total + ? WHERE id = ?", {static_cast<std::int64_t>(documents.size()), job}));
  return documents.size();
}

// Another embedding model than the one the job began with: what was made is of no use, and is replaced, or deleted when the job ends.
Status IngestWorker::begin_again(const Job& job) {
  log(LogLevel::kInfo, "a collection is made anew from the beginning: the embedding model is another one", {{"job", job.id}});
  STOA_TRY(sealed, seal_job(*job.keys, job.id, model_of(job.settings), job.attributes, job.settings));
  return catalog_.write(job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("DELETE FROM ingest_files WHERE job = ?", {job.id}));
    STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET sealed = ?, total = 0, done = 0, failed = 0, unchanged = 0 WHERE id = ?", {sealed, job.id}));
    STOA_TRY(added, add_documents(transaction, *job.keys, job.id, job.collection));
    static_cast<void>(added);
    return {};
  });
}

Status IngestWorker::stage(const Task& task) {
  if (task.job.source != task.model()) return begin_again(task.job);
  const governance::ProjectKeys& keys = task.keys();
  auto prepared = prepare(task);
  if (!prepared && prepared.error().code == ErrorCode::kCancelled) return {};
  if (!prepared) return record_failure(task, prepared.error());
  const auto count = static_cast<std::int64_t>(prepared->chunks.size());
  return catalog_.write(task.job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(mine, record(transaction, keys, task.job.id, task.ordinal, FileStatus::kDone, {task.path, task.digest, {}}));
    if (!mine) return {};
    STOA_CHECK(transaction.execute("DELETE FROM chunks WHERE document = ? AND generation = ?", {task.document, task.job.id}));
    STOA_TRY(there, transaction.query_one("SELECT 1 FROM documents WHERE id = ?", {task.document}));
    if (!there) return {};  // removed meanwhile
    STOA_TRY(inserted, insert_chunks(transaction, keys, task.document, *prepared, task.job.id));
    static_cast<void>(inserted);
    return add_up(transaction, task, count, *prepared);
  });
}

Status IngestWorker::turn_over(const Job& job) {
  const std::string model = model_of(job.settings);
  if (job.source != model) return begin_again(job);
  const governance::ProjectKeys& keys = *job.keys;
  std::size_t added = 0;
  STOA_CHECK(catalog_.write(job.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(more, add_documents(transaction, keys, job.id, job.collection));
    added = more;
    return {};
  }));
  if (added > 0) return {};

  const std::string beside = job.collection + kMadeBeside + job.id;
  struct Removal {
    Index& index;
    const std::string& name;
    ~Removal() { index.remove_collection(name); }
  } removal{catalog_.index_, beside};
  STOA_CHECK(catalog_.index_.add_collection(beside, keys.project(), job.settings.language, model));
  STOA_TRY(documents, completed(catalog_.sql_, keys, job.collection));
  STOA_TRY(made, made_by(job));
  for (StoredDocument& stored : documents) {
    if (!made.contains(stored.document.id)) continue;  // it could not be read, and keeps what it has
    stored.embedding_model = model;
    stored.generation = job.id;
  }
  STOA_CHECK(catalog_.load_documents(keys, documents, beside));
  if (stopping()) return {};
  struct Turned {
    Catalog& catalog;
    ~Turned() { catalog.set_turning({}); }
  } turned{catalog_};
  return catalog_.write(job.collection, [&](infra::SqlTransaction& transaction) -> Status { return turn_over(transaction, job, beside, made); });
}

Result<IngestWorker::Made> IngestWorker::made_by(const Job& job) {
  Made made;
  STOA_CHECK(catalog_.sql_.for_each("SELECT f.document, (SELECT COUNT(*) FROM chunks k WHERE k.document = f.document AND k.generation = f.job) FROM ingest_files f "
                                    "WHERE f.job = ? AND f.status = ?", {job.id, number(FileStatus::kDone)}, [&](const SqlRow& row) -> Result<bool> {
                                      std::string document;
                                      std::int64_t passages = 0;
                                      STOA_CHECK(row.read(document, passages));
                                      if (passages > 0) made.emplace(std::move(document), passages);
                                      return true;
                                    }));
  return made;
}

Status IngestWorker::turn_over(infra::SqlTransaction& transaction, const Job& job, const std::string& beside, const Made& made) {
  const governance::ProjectKeys& keys = *job.keys;
  const std::string model = model_of(job.settings);
  STOA_TRY(more, add_documents(transaction, keys, job.id, job.collection));
  if (more > 0) return {};  // came or changed while the index was made
  STOA_TRY(state, transaction.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {job.collection, keys.project()}));
  STOA_TRY(ended, transaction.execute("UPDATE ingest_jobs SET status = ? WHERE id = ? AND status = ?", {number(JobStatus::kCompleted), job.id, number(JobStatus::kRunning)}));
  if (!state || ended == 0) return {};  // removed or cancelled
  // Readers and attributes are those of now.
  STOA_TRY(documents, completed(transaction, keys, job.collection));
  auto indexed = catalog_.index_.documents(beside);
  for (const StoredDocument& stored : documents) {
    const auto found = indexed.extract(stored.document.id);
    if (found.empty()) continue;
    const Document& document = stored.document;
    if (found.mapped().owner == stored.owner && found.mapped().access == document.access && found.mapped().attributes == document.attributes) continue;
    const bool was_made = made.contains(document.id);
    STOA_CHECK(catalog_.index_.relabel(beside, document.id, document.access, document.attributes, stored.owner, [&] {
      return catalog_.read_chunks(transaction, keys, document.id, was_made || stored.embedding_model == model, was_made ? job.id : stored.generation);
    }));
  }
  for (const auto& [id, gone] : indexed) catalog_.index_.remove(beside, id);

  std::vector<std::string> changed;
  for (const auto& [document, passages] : made) {
    STOA_CHECK(transaction.execute("UPDATE documents SET generation = ?, embedding_model = ?, chunks = ?, stale = 1 WHERE id = ?", {job.id, model, passages, document}));
    changed.push_back(document);
  }
  // One that could not be read may have some of before the job began again.
  STOA_CHECK(transaction.execute("UPDATE documents SET stale = 1 WHERE id IN (SELECT document FROM ingest_files WHERE job = ? AND status = ?)", {job.id, number(FileStatus::kFailed)}));
  STOA_TRY(collection, read_collection(*state, keys, 0));
  CollectionSettings settings = job.settings;
  settings.search = collection.settings.search;  // may have changed meanwhile
  STOA_TRY(sealed, seal_collection(keys, collection.id, collection.name, collection.metadata, settings));
  STOA_CHECK(transaction.execute("UPDATE collections SET sealed = ? WHERE id = ?", {sealed, collection.id}));
  STOA_CHECK(tell_changed(catalog_.events_, transaction, changed));
  transaction.on_commit([&index = catalog_.index_, collection = job.collection, beside] { index.turn_over(collection, beside); });
  catalog_.set_turning(job.collection);
  return {};
}

}  // namespace stoa::data
