#include "data/sources/ingest_jobs.h"

#include "data/sources/blob_collector.h"
#include "data/sources/ingest_worker.h"

namespace stoa::data {
namespace {

constexpr Micros kKeepFinished = Micros{7} * 86'400'000'000;

std::int64_t number(JobStatus status) { return static_cast<int>(status); }

}  // namespace

Status insert_job(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, infra::EventBus* events, const Principal& principal, const NewJob& job, Micros now,
                  std::size_t max_jobs) {
  STOA_TRY(collection, transaction.query_one("SELECT 1 FROM collections WHERE id = ? AND project = ?", {job.collection, principal.project}));
  if (!collection) return fail(ErrorCode::kNotFound, "the collection was removed meanwhile");
  // Files that were sent for a job that never started are named by nothing else.
  const infra::SqlParams old{principal.project, now - kKeepFinished, number(JobStatus::kRunning)};
  STOA_TRY(digests, distinct_digests(transaction, "SELECT f.digest FROM ingest_files f JOIN ingest_jobs j ON j.id = f.job WHERE j.project = ? AND j.created < ? AND j.status <> ?", old));
  STOA_CHECK(transaction.execute("DELETE FROM ingest_jobs WHERE project = ? AND created < ? AND status <> ?", old));
  STOA_CHECK(release_blobs(events, transaction, digests));
  STOA_TRY(open, transaction.query_one("SELECT COUNT(*) FROM ingest_jobs WHERE project = ? AND status IN (?, ?)",
                                       {principal.project, number(JobStatus::kWaiting), number(JobStatus::kRunning)}));
  STOA_TRY(unfinished, open->get<std::int64_t>(0));
  if (static_cast<std::size_t>(unfinished) >= max_jobs) {
    return fail(error(ErrorCode::kResourceExhausted, "{} ingest jobs of this project are not finished", unfinished).with_hint("wait for them, or cancel some"));
  }
  STOA_TRY(sealed, seal_job(keys, job.id, job.source, job.attributes, job.settings));
  STOA_CHECK(transaction.execute(
      "INSERT INTO ingest_jobs (id, project, collection, owner, principal, source, access, attributes, sealed, prune, attach, reindex, chunk_tokens, status, created, total, "
      "done, failed, unchanged, removed, bytes, chunks, tokens, compute_micros) VALUES (?, ?, ?, ?, ?, '', ?, '', ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0)",
      {job.id, principal.project, job.collection, principal.id, principal_to_json(principal), job.access.key(), sealed,
       std::int64_t{job.prune}, std::int64_t{job.attach}, std::int64_t{job.reindex}, std::int64_t{job.chunk_tokens}, number(job.status), now, static_cast<std::int64_t>(job.total)}));
  return {};
}

Status insert_file(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& job, const std::string& source, std::int64_t ordinal,
                   const IngestFile& file, const std::string& document, bool present) {
  STOA_TRY(sealed, seal_file(keys, job, ordinal, {file.path, file.digest, {}}));
  STOA_CHECK(transaction.execute("INSERT INTO ingest_files (job, ordinal, path, path_tag, digest, bytes, content_type, document, present, status, error, sealed) "
                                 "VALUES (?, ?, '', ?, ?, ?, ?, ?, ?, ?, '', ?)",
                                 {job, ordinal, path_tag(keys, source, file.path), governance::SealedBlobs::address_of(keys, file.digest), file.bytes,
                                  file.content_type, document, std::int64_t{present}, std::int64_t{static_cast<int>(FileStatus::kPending)}, sealed}));
  return {};
}

}  // namespace stoa::data
