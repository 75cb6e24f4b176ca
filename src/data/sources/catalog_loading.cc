// How the index is filled from the rows, and from snapshots.
#include <algorithm>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/parallel.h"
#include "data/sources/catalog.h"
#include "data/sources/index_snapshots.h"
#include "data/sources/rows.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr std::size_t kDocumentsPerThread = 64, kMaxLoaders = 16;

}  // namespace

Status Catalog::open(const std::string& embedding_model, IndexSnapshots* snapshots) {
  embedding_model_ = embedding_model;
  snapshots_ = snapshots;
  STOA_CHECK(sql_.migrate("data/sources", source_migrations()));
  for (const auto& table : source_tables(blobs_)) STOA_CHECK(governance::seal_old_rows(sql_, blobs_.sealer(), table));
  STOA_TRY(rows, sql_.query("SELECT DISTINCT project FROM collections WHERE project <> ''"));
  for (const auto& row : rows) {
    STOA_TRY(project, row.get<std::string>(0));
    auto keys = blobs_.sealer().project(project);
    if (!keys && keys.error().code == ErrorCode::kPermissionDenied) {
      log(LogLevel::kWarning, "the documents of a project without a key are not searchable", {{"project", project}});
      continue;
    }
    if (!keys) return fail(std::move(keys).error());
    STOA_CHECK(load_project(*keys));
  }
  if (snapshots_ == nullptr) return {};
  STOA_TRY(collections, sql_.query("SELECT id FROM collections WHERE project <> ''"));
  std::set<std::string> ids;
  for (const auto& row : collections) {
    STOA_TRY(id, row.get<std::string>(0));
    ids.insert(std::move(id));
  }
  snapshots_->keep_only(ids);
  snapshots_->start();
  return {};
}

std::vector<governance::SealedTable> Catalog::sealed_tables() { return source_tables(blobs_); }

Status Catalog::reload_project(const std::string& project, bool readable) {
  STOA_TRY(rows, sql_.query("SELECT id FROM collections WHERE project = ?", {project}));
  for (const auto& row : rows) {
    STOA_TRY(id, row.get<std::string>(0));
    const auto lock = writes_.lock(id);  // no document comes or goes meanwhile
    index_.remove_collection(id);
    if (!readable) continue;
    STOA_TRY(keys, blobs_.sealer().project(project));
    STOA_TRY(now, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {id, project}));
    if (now) STOA_CHECK(load_collection(keys, *now));
  }
  return {};
}

Status Catalog::load_project(const governance::ProjectKeys& keys) {
  STOA_TRY(rows, sql_.query(fmt::format("SELECT {} FROM collections WHERE project = ?", kCollectionColumns), {keys.project()}));
  for (const SqlRow& row : rows) STOA_CHECK(load_collection(keys, row));
  return {};
}

// The rows say what is there: what a snapshot has of it is kept, the rest is indexed or forgotten. Chunks are never changed, only replaced by others with keys of their own.
Status Catalog::load_collection(const governance::ProjectKeys& keys, const SqlRow& row) {
  STOA_TRY(found, read_collection(row, keys, clock_.now()));
  const std::string& collection = found.id;
  STOA_CHECK(index_.add_collection(collection, keys.project(), found.settings.language, model_of(found.settings)));
  if (snapshots_ != nullptr) snapshots_->load(keys, collection);
  auto indexed = index_.documents(collection);
  std::vector<StoredDocument> missing, changed;
  STOA_CHECK(sql_.for_each(
      fmt::format("SELECT {}, (SELECT MIN(k.key) FROM chunks k WHERE k.document = d.id AND k.generation = d.generation) FROM documents d WHERE d.collection = ? AND d.status = ?", kDocumentColumns),
      {collection, std::int64_t{static_cast<int>(DocumentStatus::kCompleted)}}, [&](const SqlRow& row) -> Result<bool> {
        STOA_TRY(stored, read_document(row, keys));
        STOA_TRY(first, row.get<std::optional<std::int64_t>>(row.size() - 1));
        if (!first) return true;  // it has no passages
        const auto found = indexed.extract(stored.document.id);
        if (found.empty() || found.mapped().first != *first || found.mapped().chunks != static_cast<std::size_t>(stored.document.chunks)) {
          missing.push_back(std::move(stored));
        } else if (found.mapped().owner != stored.owner || found.mapped().access != stored.document.access || found.mapped().attributes != stored.document.attributes) {
          changed.push_back(std::move(stored));
        }
        return true;
      }));
  for (const StoredDocument& stored : changed) relabel_indexed(keys, stored);
  for (const auto& [id, state] : indexed) index_.remove(collection, id);
  return load_documents(keys, missing);
}

// By all cores: words and graphs are made anew.
Status Catalog::load_documents(const governance::ProjectKeys& keys, const std::vector<StoredDocument>& documents, const std::string& indexed_as) {
  std::mutex failing;
  Status status;
  const auto threads = static_cast<int>(std::min<std::size_t>({documents.size() / kDocumentsPerThread, std::thread::hardware_concurrency(), kMaxLoaders}));
  in_parallel(documents.size(), threads, [&](std::size_t i) {
    const Document& document = documents[i].document;
    const std::string& into = indexed_as.empty() ? document.collection : indexed_as;
    auto chunks = read_chunks(sql_, keys, document.id, documents[i].embedding_model == index_.embedding_model(into), documents[i].generation);
    const Status put = chunks ? index_.put(into, {document.id, document.access, document.attributes, std::move(*chunks), documents[i].owner}) : Status(fail(std::move(chunks).error()));
    if (put) return true;
    std::lock_guard lock(failing);
    status = put;
    return false;
  });
  return status;
}

Result<std::vector<IndexedChunk>> Catalog::read_chunks(infra::SqlSession& session, const governance::ProjectKeys& keys, const std::string& document, bool with_vectors, const std::string& generation) {
  std::vector<IndexedChunk> chunks;
  STOA_CHECK(session.for_each("SELECT key, sealed FROM chunks WHERE document = ? AND generation = ? ORDER BY ordinal", {document, generation}, [&](const SqlRow& row) -> Result<bool> {
    std::int64_t key = 0;
    Bytes sealed;
    STOA_CHECK(row.read(key, sealed));
    STOA_TRY(chunk, open_chunk(keys, key, sealed));
    const bool usable = with_vectors && has_direction(chunk.vector);
    chunks.push_back({key, chunk.prefix.empty() ? std::move(chunk.text) : chunk.prefix + "\n" + chunk.text, usable ? std::move(chunk.vector) : std::vector<float>()});
    return true;
  }));
  return chunks;
}

void Catalog::relabel_indexed(const governance::ProjectKeys& keys, const StoredDocument& stored) {
  const Document& document = stored.document;
  const auto chunks = [&]() -> Result<std::vector<IndexedChunk>> {
    STOA_TRY(row, sql_.query_one("SELECT embedding_model, generation FROM documents WHERE id = ?", {document.id}));
    if (!row) return fail(ErrorCode::kNotFound, "no document '{}'", document.id);
    std::string model, generation;
    STOA_CHECK(row->read(model, generation));
    return read_chunks(sql_, keys, document.id, model == index_.embedding_model(document.collection), generation);
  };
  const auto relabelled = index_.relabel(document.collection, document.id, document.access, document.attributes, stored.owner, chunks);
  if (!relabelled && relabelled.error().code != ErrorCode::kNotFound)  // one without passages is not in the index
    log_error("a document whose readers changed is not searchable until the next start", relabelled.error());
}

}  // namespace stoa::data
