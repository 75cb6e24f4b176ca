// Rows that nothing leads to any more are deleted behind what goes on, a little at a time: passages that were replaced, and collections that were removed. The index has none of them, so
// that no Catalog::write() is needed, and nobody is held up who waits for the index.
#include "data/sources/blob_collector.h"
#include "data/sources/ingest_worker.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr std::int64_t kSweptAtOnce = 256;  // rows that are changed before others have their turn

}  // namespace

Result<bool> IngestWorker::sweep() {
  STOA_TRY(stale, catalog_.sql_.query_one("SELECT 1 FROM documents WHERE stale = 1 LIMIT 1"));
  if (stale) {
    STOA_CHECK(catalog_.sql_.transaction(sweep_passages));
    return true;
  }
  STOA_TRY(removed, catalog_.sql_.query_one("SELECT id FROM collections WHERE project = '' LIMIT 1"));
  if (!removed) return false;
  STOA_TRY(collection, removed->get<std::string>(0));
  STOA_CHECK(catalog_.sql_.transaction([&](infra::SqlTransaction& transaction) { return sweep_collection(transaction, collection); }));
  return true;
}

Status IngestWorker::sweep_passages(infra::SqlTransaction& transaction) {
  STOA_TRY(rows, transaction.query("SELECT id, generation FROM documents WHERE stale = 1 LIMIT ?", {kSweptAtOnce}));
  std::int64_t left = kSweptAtOnce;
  for (const SqlRow& row : rows) {
    std::string document, generation;
    STOA_CHECK(row.read(document, generation));
    STOA_TRY(deleted, transaction.execute("DELETE FROM chunks WHERE key IN (SELECT key FROM chunks WHERE document = ? AND generation <> ? AND generation NOT IN "
                                          "(SELECT id FROM ingest_jobs WHERE status = ?) LIMIT ?)",
                                          {document, generation, std::int64_t{static_cast<int>(JobStatus::kRunning)}, left}));
    left -= deleted;
    if (left == 0) return {};  // it may have more
    STOA_CHECK(transaction.execute("UPDATE documents SET stale = 0 WHERE id = ?", {document}));
  }
  return {};
}

Status IngestWorker::sweep_collection(infra::SqlTransaction& transaction, const std::string& collection) {
  STOA_TRY(documents, transaction.query("SELECT id, digest FROM documents WHERE collection = ? LIMIT ?", {collection, kSweptAtOnce}));
  std::int64_t left = kSweptAtOnce;
  std::vector<std::string> digests;
  for (const SqlRow& row : documents) {
    std::string document, digest;
    STOA_CHECK(row.read(document, digest));
    STOA_TRY(deleted, transaction.execute("DELETE FROM chunks WHERE key IN (SELECT key FROM chunks WHERE document = ? LIMIT ?)", {document, left}));
    left -= std::max<std::int64_t>(deleted, 1);
    if (left <= 0) break;  // it may have more
    STOA_CHECK(transaction.execute("DELETE FROM documents WHERE id = ?", {document}));
    digests.push_back(std::move(digest));
  }
  if (!documents.empty()) return release_blobs(catalog_.events_, transaction, digests);

  STOA_TRY(files, transaction.query("SELECT f.job, f.ordinal, f.digest FROM ingest_jobs j JOIN ingest_files f ON f.job = j.id WHERE j.collection = ? LIMIT ?", {collection, kSweptAtOnce}));
  for (const SqlRow& row : files) {
    std::string job;
    std::int64_t ordinal = 0;
    STOA_CHECK(row.read(job, ordinal, digests.emplace_back()));
    STOA_CHECK(transaction.execute("DELETE FROM ingest_files WHERE job = ? AND ordinal = ?", {job, ordinal}));
  }
  if (!files.empty()) return release_blobs(catalog_.events_, transaction, digests);
  STOA_CHECK(transaction.execute("DELETE FROM collections WHERE id = ?", {collection}));  // and with it its jobs
  return {};
}

}  // namespace stoa::data
