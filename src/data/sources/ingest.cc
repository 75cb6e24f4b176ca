#include "data/sources/ingest.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "base/id.h"
#include "base/utf8.h"
#include "data/sources/blob_collector.h"
#include "data/sources/ingest_jobs.h"
#include "data/sources/ingest_worker.h"
#include "data/sources/rows.h"
#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxPath = 1024, kMaxErrors = 100;

std::int64_t number(JobStatus status) { return static_cast<int>(status); }

Error no_job(const std::string& id) { return error(ErrorCode::kNotFound, "no ingest job '{}'", to_valid_utf8(id.substr(0, 80))); }

Status check_path(const std::string& path) {
  const auto bad = [&](std::string_view why) { return fail(error(ErrorCode::kInvalidArgument, "path '{}': {}", to_valid_utf8(path.substr(0, 200)), why).with_param("path")); };
  if (path.empty() || path.size() > kMaxPath) return bad("1 to 1024 bytes are allowed");
  if (!is_valid_utf8(path) || path.contains('\0')) return bad("not UTF-8");
  std::string_view rest = path;
  while (true) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return bad("a relative path without '.' and '..' is needed");
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

Status check_file(const std::string& digest, std::int64_t bytes, const std::string& path, const IngestLimits& limits) {
  if (!infra::is_digest(digest)) return fail(error(ErrorCode::kInvalidArgument, "{}: the digest is not sha256: and 64 hexadecimal digits", path).with_param("digest"));
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) > limits.parse.max_bytes) {
    return fail(error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are taken", path, bytes, limits.parse.max_bytes).with_param("bytes"));
  }
  return {};
}

Status check_spec(const IngestSpec& spec, const IngestLimits& limits) {
  if (spec.files.size() > limits.max_files) return fail(ErrorCode::kTooLarge, "{} files, a job takes at most {}", spec.files.size(), limits.max_files);
  if (spec.source.empty() || spec.source.size() > 256 || !is_valid_utf8(spec.source)) {
    return fail(error(ErrorCode::kInvalidArgument, "the name of a source has 1 to 256 bytes of UTF-8").with_param("source"));
  }
  STOA_CHECK(check_attributes(spec.attributes));
  std::set<std::string_view> paths;
  for (const auto& file : spec.files) {
    STOA_CHECK(check_path(file.path));
    STOA_CHECK(check_file(file.digest, file.bytes, file.path, limits));
    if (!paths.insert(file.path).second) return fail(ErrorCode::kInvalidArgument, "the path '{}' is named twice", file.path);
  }
  return {};
}

}  // namespace

std::string_view to_string(JobStatus status) {
  switch (status) {
    case JobStatus::kWaiting: return "waiting";
    case JobStatus::kRunning: return "running";
    case JobStatus::kCompleted: return "completed";
    case JobStatus::kCancelled: return "cancelled";
  }
  return "unknown";
}

Ingest::Ingest(Catalog& catalog, Embedders embedders, governance::Ledger* ledger, IngestLimits limits)
    : catalog_(catalog), limits_(limits), worker_(std::make_unique<IngestWorker>(catalog, std::move(embedders), ledger, limits_)) {}
Ingest::~Ingest() = default;

Status Ingest::start_worker() { return worker_->start(); }
void Ingest::stop_worker() { worker_->stop(); }
void Ingest::resume() { worker_->wake(); }

// A digest alone is no right to bytes: they count as present only where the caller may read a document made of them.
Result<bool> Ingest::has_bytes(const Call& call, const governance::ProjectKeys& keys, const std::string& digest) {
  STOA_TRY(rows, catalog_.sql_.query("SELECT DISTINCT d.access FROM documents d JOIN collections c ON c.id = d.collection WHERE d.digest = ? AND c.project = ?",
                                     {governance::SealedBlobs::address_of(keys, digest), call.principal.project}));
  for (const auto& row : rows) {
    STOA_TRY(access, row.get<std::string>(0));
    STOA_TRY(list, AccessList::parse(access));
    if (may_read(call.principal, list)) return catalog_.blobs_.exists(keys, digest);
  }
  return false;
}

Result<CreatedJob> Ingest::create_job(const Call& call, const IngestSpec& spec) {
  STOA_CHECK(check_spec(spec, limits_));
  STOA_CHECK(catalog_.collection(call, spec.collection));
  STOA_TRY(keys, catalog_.keys(call));
  CreatedJob created{new_id("job"), {}};
  std::map<std::string, bool> present;
  for (const auto& file : spec.files) {
    if (present.contains(file.digest)) continue;
    STOA_TRY(here, has_bytes(call, keys, file.digest));
    present[file.digest] = here;
    if (!here) created.missing.push_back(file.digest);
  }
  STOA_CHECK(catalog_.write(spec.collection, [&](infra::SqlTransaction& transaction) -> Status {
    const NewJob job{.id = created.id, .collection = spec.collection, .source = spec.source, .access = spec.access, .attributes = spec.attributes, .prune = spec.prune,
                     .status = JobStatus::kWaiting, .total = spec.files.size()};
    for (auto& [digest, here] : present) {  // looked at again: a blob may have been collected since
      if (!here) continue;
      STOA_TRY(still, catalog_.blobs_.exists(keys, digest));
      here = still;
      if (!still) created.missing.push_back(digest);
    }
    STOA_CHECK(insert_job(transaction, keys, catalog_.events_, call.principal, job, catalog_.clock_.now(), limits_.max_jobs));
    for (std::size_t i = 0; i < spec.files.size(); ++i) STOA_CHECK(insert_file(transaction, keys, job.id, job.source, static_cast<std::int64_t>(i), spec.files[i], "", present[spec.files[i].digest]));
    return {};
  }));
  return created;
}

Status Ingest::put_blob(const Call& call, const std::string& job, const std::string& digest, ByteSpan bytes) {
  STOA_TRY(at, progress(call, job));
  if (at.status != JobStatus::kWaiting) return fail(ErrorCode::kConflict, "job {} is {}, not waiting", job, to_string(at.status));
  STOA_TRY(keys, catalog_.keys(call));
  const std::string address = governance::SealedBlobs::address_of(keys, digest);
  STOA_TRY(row, catalog_.sql_.query_one("SELECT bytes FROM ingest_files WHERE job = ? AND digest = ? LIMIT 1", {job, address}));
  if (!row) return fail(ErrorCode::kInvalidArgument, "no file of job {} has this digest", job);
  if (bytes.size() > limits_.parse.max_bytes) return fail(ErrorCode::kTooLarge, "{} bytes, at most {} are taken", bytes.size(), limits_.parse.max_bytes);
  if ("sha256:" + infra::to_hex(infra::sha256(bytes)) != digest) return fail(ErrorCode::kInvalidArgument, "the bytes do not have the digest {}", digest);
  STOA_CHECK(catalog_.blobs_.put(keys, bytes));
  STOA_CHECK(catalog_.sql_.execute("UPDATE ingest_files SET present = 1, bytes = ? WHERE job = ? AND digest = ?", {static_cast<std::int64_t>(bytes.size()), job, address}));
  return {};
}

Status Ingest::start(const Call& call, const std::string& job) {
  STOA_TRY(at, progress(call, job));
  STOA_TRY(keys, catalog_.keys(call));
  STOA_CHECK(catalog_.write(at.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, transaction.query_one("SELECT ordinal, sealed FROM ingest_files WHERE job = ? AND present = 0 ORDER BY ordinal LIMIT 1", {job}));
    if (row) {
      std::int64_t ordinal = 0;
      Bytes sealed;
      STOA_CHECK(row->read(ordinal, sealed));
      STOA_TRY(file, open_file(keys, job, ordinal, sealed));
      return fail(error(ErrorCode::kConflict, "the bytes of '{}' are missing", file.path).with_hint("send them before starting the job"));
    }
    STOA_TRY(changed, transaction.execute("UPDATE ingest_jobs SET status = ? WHERE id = ? AND status = ?", {number(JobStatus::kRunning), job, number(JobStatus::kWaiting)}));
    if (changed == 0) return fail(ErrorCode::kConflict, "job {} was started or cancelled before", job);
    return {};
  }));
  worker_->wake();
  return {};
}

Result<IngestProgress> Ingest::progress(const Call& call, const std::string& job) {
  STOA_TRY(row, catalog_.sql_.query_one("SELECT id, collection, status, total, done, failed, unchanged, removed, bytes, chunks, tokens, compute_micros "
                                        "FROM ingest_jobs WHERE id = ? AND project = ? AND owner = ?",
                                        {job, call.principal.project, call.principal.id}));
  if (!row) return fail(no_job(job));
  IngestProgress result;
  int status = 0;
  STOA_CHECK(row->read(result.id, result.collection, status, result.total, result.done, result.failed, result.unchanged, result.removed, result.bytes,
                       result.chunks, result.tokens, result.compute_micros));
  result.status = static_cast<JobStatus>(status);
  std::tie(result.file_embedded, result.file_chunks) = worker_->embedded(job);
  catalog_.await_index(result.collection);
  if (result.failed == 0) return result;
  // Of documents that others brought in, and a job makes anew, only those are named that the caller may see.
  STOA_TRY(rows, catalog_.sql_.query(fmt::format("SELECT f.ordinal, f.sealed, j.reindex, f.document FROM ingest_files f JOIN ingest_jobs j ON j.id = f.job "
                                                 "WHERE f.job = ? AND f.status = ? ORDER BY f.ordinal LIMIT {}", kMaxErrors),
                                     {job, std::int64_t{static_cast<int>(FileStatus::kFailed)}}));
  STOA_TRY(keys, catalog_.keys(call));
  for (const auto& failed : rows) {
    std::int64_t ordinal = 0;
    Bytes sealed;
    bool reindex = false;
    std::string document;
    STOA_CHECK(failed.read(ordinal, sealed, reindex, document));
    if (reindex && !catalog_.document(call, document)) continue;
    STOA_TRY(file, open_file(keys, job, ordinal, sealed));
    result.errors.push_back({std::move(file.path), std::move(file.error)});
  }
  return result;
}

Status Ingest::cancel(const Call& call, const std::string& job) {
  STOA_TRY(at, progress(call, job));
  STOA_CHECK(catalog_.write(at.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET status = ? WHERE id = ? AND status IN (?, ?)",
                                   {number(JobStatus::kCancelled), job, number(JobStatus::kWaiting), number(JobStatus::kRunning)}));
    // What it made of them is of no use any more.
    STOA_CHECK(transaction.execute("UPDATE documents SET stale = 1 WHERE id IN (SELECT document FROM ingest_files WHERE job = ?)", {job}));
    STOA_TRY(digests, distinct_digests(transaction, "SELECT digest FROM ingest_files WHERE job = ?", {job}));
    return release_blobs(catalog_.events_, transaction, digests);
  }));
  worker_->wake();
  return {};
}

Result<IngestProgress> Ingest::wait(const Call& call, const std::string& job, Deadline deadline) {
  while (true) {
    STOA_TRY(at, progress(call, job));
    if (at.status == JobStatus::kCompleted || at.status == JobStatus::kCancelled || deadline.passed() || call.cancel.cancelled()) return std::move(at);
    worker_->wait_for_progress(deadline);
  }
}

Result<Document> Ingest::attach(const Call& call, const AttachSpec& spec) {
  if (spec.file_id.empty() || spec.file_id.size() > 128) return fail(error(ErrorCode::kInvalidArgument, "a file id has 1 to 128 bytes").with_param("file_id"));
  const std::string name = spec.filename.empty() ? spec.file_id : spec.filename;
  if (name.size() > kMaxPath || !is_valid_utf8(name)) return fail(error(ErrorCode::kInvalidArgument, "a file name has at most 1024 bytes of UTF-8").with_param("filename"));
  STOA_CHECK(check_file(spec.digest, spec.bytes, name, limits_));
  STOA_CHECK(check_attributes(spec.attributes));
  if (spec.max_chunk_tokens && *spec.max_chunk_tokens < 16) return fail(error(ErrorCode::kInvalidArgument, "passages have at least 16 tokens").with_param("chunking_strategy"));
  STOA_CHECK(catalog_.collection(call, spec.collection));
  const auto old = catalog_.document_of_file(call, spec.collection, spec.file_id);
  Document document{.id = new_id("doc"), .collection = spec.collection, .source = "files", .path = name, .title = name};
  document.digest = spec.digest;
  document.attributes = spec.attributes;
  STOA_TRY(keys, catalog_.keys(call));
  STOA_TRY(sealed, seal_document(keys, document));
  const std::string address = governance::SealedBlobs::address_of(keys, spec.digest);
  STOA_CHECK(catalog_.write(spec.collection, [&](infra::SqlTransaction& transaction) -> Status {
    if (old) {
      STOA_CHECK(catalog_.remove_documents(transaction, "d.id = ?", {old->id}));
    }
    STOA_TRY(here, catalog_.blobs_.exists(keys, spec.digest));
    if (!here) return fail(error(ErrorCode::kNotFound, "no file '{}'", spec.file_id).with_param("file_id"));  // deleted meanwhile
    const Micros now = catalog_.clock_.now();
    STOA_CHECK(transaction.execute(
        "INSERT INTO documents (id, collection, source, path, source_tag, path_tag, file_id, title, content_type, digest, bytes, chunks, access, attributes, sealed, "
        "status, error_code, error, created, owner, embedding_model) VALUES (?, ?, '', '', ?, ?, ?, '', ?, ?, ?, 0, ?, '', ?, ?, 0, '', ?, ?, '')",
        {document.id, spec.collection, source_tag(keys, document.source), path_tag(keys, document.source, name), spec.file_id, spec.content_type, address,
         spec.bytes, spec.access.key(), sealed,
         std::int64_t{static_cast<int>(DocumentStatus::kInProgress)}, now, call.principal.id}));
    const NewJob job{.id = new_id("job"), .collection = spec.collection, .source = "files", .access = spec.access, .attributes = spec.attributes, .attach = true,
                     .chunk_tokens = spec.max_chunk_tokens.value_or(0), .status = JobStatus::kRunning, .total = 1};
    STOA_CHECK(insert_job(transaction, keys, catalog_.events_, call.principal, job, now, limits_.max_jobs));
    return insert_file(transaction, keys, job.id, job.source, 0, {name, spec.digest, spec.bytes, spec.content_type}, document.id, true);
  }));
  worker_->wake();
  return catalog_.document(call, document.id);
}

}  // namespace stoa::data
