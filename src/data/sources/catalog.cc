#include "data/sources/catalog.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/utf8.h"
#include "data/sources/blob_collector.h"
#include "data/sources/index_snapshots.h"
#include "data/sources/ingest.h"
#include "data/sources/rows.h"

namespace stoa::data {
namespace {

using infra::SqlParams;
using infra::SqlRow;

constexpr std::int64_t kOriginalLimit = 256 << 20;
constexpr Micros kTouchEvery = 3'600'000'000;  // writing at each search would make searches wait for the disk

Error not_found(std::string_view kind, std::string_view id) { return error(ErrorCode::kNotFound, "no {} '{}'", kind, to_valid_utf8(id.substr(0, 80))); }

std::int64_t number(JobStatus status) { return static_cast<int>(status); }

std::string select_documents(std::string_view where) {
  return fmt::format("SELECT {} FROM documents d JOIN collections c ON c.id = d.collection WHERE c.project = ? AND {}", kDocumentColumns, where);
}

Status check_spec(const std::string& name, const std::map<std::string, std::string>& metadata, const std::optional<int>& days) {
  if (name.size() > 256 || !is_valid_utf8(name)) return fail(error(ErrorCode::kInvalidArgument, "the name of a collection has at most 256 bytes of UTF-8").with_param("name"));
  if (metadata.size() > 16) return fail(error(ErrorCode::kInvalidArgument, "metadata has {} entries, more than 16", metadata.size()).with_param("metadata"));
  for (const auto& [key, value] : metadata) {
    if (key.empty() || key.size() > 64 || value.size() > 512) {
      return fail(error(ErrorCode::kInvalidArgument, "metadata has keys of 1 to 64 bytes and values of at most 512").with_param("metadata"));
    }
  }
  if (days && (*days < 1 || *days > 365)) return fail(error(ErrorCode::kInvalidArgument, "{} days: a collection expires after 1 to 365", *days).with_param("expires_after"));
  return {};
}

Status check_page(const PageRequest& page) {
  if (page.limit < 1 || page.limit > 100) return fail(error(ErrorCode::kInvalidArgument, "limit {}: use 1 to 100", page.limit).with_param("limit"));
  return {};
}

// The part of a query that orders and places a page by `column`; the caller binds `page.after` when it is not empty.
std::string page_clause(const PageRequest& page, std::string_view column) {
  const std::string after = page.after.empty() ? "" : fmt::format(" AND {} {} ?", column, page.ascending ? ">" : "<");
  return fmt::format("{} ORDER BY {} {}", after, column, page.ascending ? "ASC" : "DESC");
}

void add(DocumentCounts& counts, DocumentStatus status, std::int64_t number, std::int64_t bytes, std::int64_t chunks) {
  counts.total += number;
  switch (status) {
    case DocumentStatus::kInProgress: counts.in_progress += number; break;
    case DocumentStatus::kFailed: counts.failed += number; break;
    case DocumentStatus::kCancelled: counts.cancelled += number; break;
    case DocumentStatus::kCompleted:
      counts.completed += number;
      counts.bytes += bytes;
      counts.chunks += chunks;
      break;
  }
}

}  // namespace

std::string_view to_string(DocumentStatus status) {
  switch (status) {
    case DocumentStatus::kInProgress: return "in_progress";
    case DocumentStatus::kCompleted: return "completed";
    case DocumentStatus::kFailed: return "failed";
    case DocumentStatus::kCancelled: return "cancelled";
  }
  return "unknown";
}

Catalog::Catalog(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, Index& index, infra::EventBus* events, const Clock& clock,
                 const governance::Access* access)
    : sql_(sql), blobs_(blobs), index_(index), events_(events), clock_(clock), access_(access) {}

Status Catalog::write(const std::string& collection, const std::function<Status(infra::SqlTransaction&)>& work) {
  const auto lock = writes_.lock(collection);
  return sql_.transaction(work);
}

// --- collections ---------------------------------------------------------------------------------------------------------

Result<Collection> Catalog::create_collection(const Call& call, const CollectionSpec& spec) {
  STOA_CHECK(check_spec(spec.name, spec.metadata, spec.expires_after_days));
  if (call.principal.project.empty()) return fail(ErrorCode::kPermissionDenied, "a collection needs a project");
  const std::string id = new_id("vs");
  const Micros now = clock_.now();
  STOA_TRY(keys, this->keys(call));
  STOA_TRY(sealed, seal_collection(keys, id, spec.name, spec.metadata, {}));
  STOA_CHECK(write(id, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("INSERT INTO collections (id, project, name, metadata, name_tag, sealed, expires_after_days, created, last_active) "
                                   "VALUES (?, ?, '', '', ?, ?, ?, ?, ?)",
                                   {id, call.principal.project, collection_tag(keys, spec.name), sealed,
                                    spec.expires_after_days ? infra::SqlValue(std::int64_t{*spec.expires_after_days}) : infra::SqlValue(nullptr), now, now}));
    transaction.on_commit([&] { (void)index_.add_collection(id, call.principal.project, CollectionSettings().language, embedding_model_); });
    return {};
  }));
  return collection(call, id);
}

Result<Collection> Catalog::with_counts(const Call& call, const governance::ProjectKeys& keys, const SqlRow& row) {
  STOA_TRY(found, read_collection(row, keys, clock_.now()));
  STOA_TRY(counts, count(call, keys, found.id));
  found.counts = counts;
  await_index(found.id);
  return std::move(found);
}

// Where policies tell documents apart each is looked at, as in lists; otherwise those with the same readers are counted together.
Result<DocumentCounts> Catalog::count(const Call& call, const governance::ProjectKeys& keys, const std::string& collection) {
  DocumentCounts counts;
  if (access_ != nullptr && access_->tells_apart(call, governance::Action::kDocumentRead)) {
    STOA_CHECK(sql_.for_each(select_documents("d.collection = ?"), {call.principal.project, collection}, [&](const SqlRow& row) -> Result<bool> {
      STOA_TRY(stored, read_document(row, keys));
      if (may_see(call.principal, stored) && permitted(call, stored)) add(counts, stored.document.status, 1, stored.document.bytes, stored.document.chunks);
      return true;
    }));
    return counts;
  }
  STOA_CHECK(sql_.for_each(
      "SELECT access, owner, status, COUNT(*), SUM(bytes), SUM(chunks) FROM documents WHERE collection = ? GROUP BY access, owner, status",
      {collection}, [&](const SqlRow& row) -> Result<bool> {
        std::string access;
        StoredDocument group;
        int status = 0;
        std::int64_t number = 0, bytes = 0, chunks = 0;
        STOA_CHECK(row.read(access, group.owner, status, number, bytes, chunks));
        STOA_TRY(list, AccessList::parse(access));
        group.document.access = std::move(list);
        if (!may_see(call.principal, group)) return true;
        add(counts, static_cast<DocumentStatus>(status), number, bytes, chunks);
        return true;
      }));
  return counts;
}

Result<Collection> Catalog::collection(const Call& call, const std::string& id) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {id, call.principal.project}));
  if (!row) return fail(not_found("collection", id));
  STOA_TRY(keys, this->keys(call));
  return with_counts(call, keys, *row);
}

Result<Collection> Catalog::find_collection(const Call& call, const std::string& name) {
  STOA_TRY(keys, this->keys(call));
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE project = ? AND name_tag = ? ORDER BY id LIMIT 1", kCollectionColumns),
                               {call.principal.project, collection_tag(keys, name)}));
  if (!row) return fail(not_found("collection named", name).with_hint("'stoa search --help' tells how to list collections"));
  return with_counts(call, keys, *row);
}

Result<Page<Collection>> Catalog::collections(const Call& call, const PageRequest& page) {
  STOA_CHECK(check_page(page));
  SqlParams params{call.principal.project};
  if (!page.after.empty()) params.emplace_back(page.after);
  STOA_TRY(rows, sql_.query(fmt::format("SELECT {} FROM collections WHERE project = ?{} LIMIT {}", kCollectionColumns, page_clause(page, "id"), page.limit + 1), params));
  Page<Collection> result;
  if (rows.empty()) return result;
  STOA_TRY(keys, this->keys(call));
  result.more = rows.size() > page.limit;
  for (std::size_t i = 0; i < std::min(rows.size(), page.limit); ++i) {
    STOA_TRY(item, with_counts(call, keys, rows[i]));
    result.items.push_back(std::move(item));
  }
  return result;
}

Result<Collection> Catalog::change_collection(const Call& call, const std::string& id, const CollectionChange& change) {
  STOA_TRY(keys, this->keys(call));
  STOA_CHECK(write(id, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, transaction.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {id, call.principal.project}));
    if (!row) return fail(not_found("collection", id));
    STOA_TRY(old, read_collection(*row, keys, clock_.now()));
    const std::string name = change.name.value_or(old.name);
    const auto metadata = change.metadata.value_or(old.metadata);
    const auto days = change.expires_after_days.value_or(old.expires_after_days);
    if (change.search) old.settings.search = *change.search;
    STOA_CHECK(check_spec(name, metadata, days));
    STOA_TRY(sealed, seal_collection(keys, id, name, metadata, old.settings));
    STOA_TRY(changed, transaction.execute("UPDATE collections SET name_tag = ?, sealed = ?, expires_after_days = ?, last_active = ? WHERE id = ?",
                                          {collection_tag(keys, name), sealed, days ? infra::SqlValue(std::int64_t{*days}) : infra::SqlValue(nullptr), clock_.now(), id}));
    static_cast<void>(changed);
    return {};
  }));
  return collection(call, id);
}

// Gone for everybody at once; what it had is deleted by the ingest worker, a little at a time, so that others write meanwhile.
Status Catalog::remove_collection(const Call& call, const std::string& id) {
  return write(id, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(mine, transaction.execute("UPDATE collections SET project = '' WHERE id = ? AND project = ?", {id, call.principal.project}));
    if (mine == 0) return fail(not_found("collection", id));
    STOA_CHECK(transaction.execute("UPDATE ingest_jobs SET status = ? WHERE collection = ? AND status IN (?, ?)",
                                   {number(JobStatus::kCancelled), id, number(JobStatus::kWaiting), number(JobStatus::kRunning)}));
    transaction.on_commit([&] {
      index_.remove_collection(id);
      if (snapshots_ != nullptr) snapshots_->remove(id);
    });
    std::vector<std::string> documents;
    STOA_CHECK(transaction.for_each("SELECT id FROM documents WHERE collection = ?", {id}, [&](const SqlRow& row) -> Result<bool> {
      STOA_TRY(document, row.get<std::string>(0));
      documents.push_back(std::move(document));
      return true;
    }));
    return tell_changed(events_, transaction, documents);
  });
}

// --- documents -----------------------------------------------------------------------------------------------------------

bool Catalog::permitted(const Call& call, const std::string& id, const Marks& marks) const {
  if (access_ == nullptr) return true;
  auto resource = governance::Resource::of(call.principal, "document", id);
  resource.owner = marks.owner;
  resource.data_class = marks.data_class;
  resource.residency = marks.residency;
  std::istringstream labels(marks.labels);
  auto& known = resource.labels.emplace();  // a document without labels is known to have none
  for (std::string label; std::getline(labels >> std::ws, label, ',');) known.push_back(label);
  return access_->permits(call, governance::Action::kDocumentRead, resource);
}

bool Catalog::permitted(const Call& call, const StoredDocument& stored) const { return permitted(call, stored.document.id, marks_of(stored.owner, stored.document.attributes)); }

std::function<bool(const Marks&)> Catalog::permits(const Call& call) const {
  constexpr auto kRead = governance::Action::kDocumentRead;
  if (access_ == nullptr || !access_->tells_apart(call, kRead) || access_->tells_names_apart(call, kRead)) return {};
  return [this, &call](const Marks& marks) { return permitted(call, {}, marks); };
}

bool Catalog::single_ones_are_forbidden(const Call& call) const { return access_ != nullptr && access_->tells_names_apart(call, governance::Action::kDocumentRead); }

Result<Document> Catalog::visible(const Call& call, const governance::ProjectKeys& keys, const std::optional<SqlRow>& row, const std::string& id) {
  if (!row) return fail(not_found("document", id));
  STOA_TRY(stored, read_document(*row, keys));
  if (!may_see(call.principal, stored) || !permitted(call, stored)) return fail(not_found("document", id));
  await_index(stored.document.collection);
  return std::move(stored.document);
}

Result<Page<Document>> Catalog::documents(const Call& call, const std::string& collection, const PageRequest& page, std::optional<DocumentStatus> status) {
  STOA_CHECK(check_page(page));
  STOA_CHECK(this->collection(call, collection));
  SqlParams params{call.principal.project, collection};
  std::string where = "d.collection = ?";
  if (status) {
    where += " AND d.status = ?";
    params.emplace_back(std::int64_t{static_cast<int>(*status)});
  }
  if (!page.after.empty()) params.emplace_back(page.after);
  Page<Document> result;
  STOA_TRY(keys, this->keys(call));
  STOA_CHECK(sql_.for_each(select_documents(where + page_clause(page, "d.id")), params, [&](const SqlRow& row) -> Result<bool> {
    STOA_TRY(stored, read_document(row, keys));
    if (!may_see(call.principal, stored) || !permitted(call, stored)) return true;
    result.more = result.items.size() == page.limit;
    if (!result.more) result.items.push_back(std::move(stored.document));
    return !result.more;
  }));
  await_index(collection);
  return result;
}

Result<Document> Catalog::document(const Call& call, const std::string& id) {
  STOA_TRY(row, sql_.query_one(select_documents("d.id = ?"), {call.principal.project, id}));
  if (!row) return fail(not_found("document", id));
  STOA_TRY(keys, this->keys(call));
  return visible(call, keys, row, id);
}

Result<Document> Catalog::document_of_file(const Call& call, const std::string& collection, const std::string& file_id) {
  if (file_id.empty()) return fail(not_found("file", file_id));
  STOA_TRY(rows, sql_.query(select_documents("d.collection = ? AND d.file_id = ? ORDER BY d.id DESC"), {call.principal.project, collection, file_id}));
  if (rows.empty()) return fail(not_found("file", file_id));
  STOA_TRY(keys, this->keys(call));
  for (const auto& row : rows) {
    if (auto found = visible(call, keys, row, file_id)) return found;
  }
  return fail(not_found("file", file_id));
}

Result<Document> Catalog::set_attributes(const Call& call, const std::string& document, const Attributes& attributes) {
  STOA_CHECK(check_attributes(attributes));
  STOA_TRY(seen, this->document(call, document));
  STOA_TRY(keys, this->keys(call));
  StoredDocument changed;
  STOA_CHECK(write(seen.collection, [&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(row, transaction.query_one(select_documents("d.id = ?"), {call.principal.project, document}));  // as it is now: an ingest may have changed it
    if (!row) return fail(not_found("document", document));
    STOA_TRY(stored, read_document(*row, keys));
    changed = std::move(stored);
    changed.document.attributes = attributes;
    STOA_TRY(sealed, seal_document(keys, changed.document));
    STOA_CHECK(transaction.execute("UPDATE documents SET sealed = ? WHERE id = ?", {sealed, document}));
    transaction.on_commit([&] { relabel_indexed(keys, changed); });
    return {};
  }));
  return std::move(changed.document);
}

Status Catalog::remove_document(const Call& call, const std::string& id) {
  STOA_TRY(seen, document(call, id));
  return write(seen.collection, [&](infra::SqlTransaction& transaction) { return remove_documents(transaction, "d.id = ?", {id}); });
}

Status Catalog::remove_documents(infra::SqlTransaction& transaction, std::string_view where, const SqlParams& params) {
  STOA_TRY(rows, transaction.query(fmt::format("SELECT d.id, d.collection, d.digest FROM documents d WHERE {}", where), params));
  std::vector<std::string> digests, ids;
  for (const auto& row : rows) {
    std::string id, collection, digest;
    STOA_CHECK(row.read(id, collection, digest));
    STOA_CHECK(transaction.execute("DELETE FROM documents WHERE id = ?", {id}));
    transaction.on_commit([this, id, collection] { index_.remove(collection, id); });
    digests.push_back(std::move(digest));
    ids.push_back(std::move(id));
  }
  STOA_CHECK(tell_changed(events_, transaction, ids));
  return release_blobs(events_, transaction, digests);
}

Status Catalog::remove_documents_of_file(const Call& call, const std::string& file_id) {
  if (file_id.empty()) return fail(not_found("file", file_id));
  STOA_TRY(rows, sql_.query("SELECT DISTINCT d.collection FROM documents d JOIN collections c ON c.id = d.collection WHERE c.project = ? AND d.file_id = ?", {call.principal.project, file_id}));
  for (const auto& row : rows) {
    STOA_TRY(collection, row.get<std::string>(0));
    STOA_CHECK(write(collection, [&](infra::SqlTransaction& transaction) { return remove_documents(transaction, "d.file_id = ? AND d.collection = ?", {file_id, collection}); }));
  }
  return {};
}

Result<std::vector<std::string>> Catalog::document_text(const Call& call, const std::string& id) {
  STOA_TRY(found, document(call, id));
  if (!may_read(call.principal, found.access)) return fail(not_found("document", id));
  STOA_TRY(keys, this->keys(call));
  std::vector<std::string> texts;
  STOA_CHECK(sql_.for_each("SELECT key, sealed FROM chunks WHERE document = ? AND generation = (SELECT generation FROM documents WHERE id = ?) ORDER BY ordinal", {id, id}, [&](const SqlRow& row) -> Result<bool> {
    std::int64_t key = 0;
    Bytes sealed;
    STOA_CHECK(row.read(key, sealed));
    STOA_TRY(chunk, open_chunk(keys, key, sealed));
    texts.push_back(std::move(chunk.text));
    return true;
  }));
  return texts;
}

Result<DocumentContent> Catalog::open_document(const Call& call, const std::string& id) {
  STOA_TRY(found, document(call, id));
  if (!may_read(call.principal, found.access)) return fail(not_found("document", id));
  STOA_TRY(keys, this->keys(call));
  STOA_TRY(bytes, blobs_.get(keys, found.digest, kOriginalLimit));
  return DocumentContent{std::move(found), std::move(bytes)};
}

void Catalog::set_turning(const std::string& collection) {
  std::lock_guard lock(turning_mutex_);
  turning_ = collection;
}

Result<std::optional<SqlRow>> Catalog::settled(const Call& call, const std::string& collection) {
  while (true) {
    STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {collection, call.principal.project}));
    {
      std::lock_guard lock(turning_mutex_);
      if (turning_.empty() || turning_ != collection) return std::move(row);  // asked after the row was read: where a turn begins only now, it is the row of before
    }
    await_index(collection);
  }
}

Result<std::vector<CollectionSettings>> Catalog::searchable(const Call& call, std::span<const std::string> ids) {
  std::vector<CollectionSettings> settings;
  const Micros now = clock_.now();
  STOA_TRY(keys, this->keys(call));
  for (const auto& id : ids) {
    STOA_TRY(row, settled(call, id));
    if (!row) return fail(not_found("collection", id));
    STOA_TRY(found, read_collection(*row, keys, now));
    if (found.expired) return fail(error(ErrorCode::kNotFound, "the collection '{}' has expired", id).with_hint("change its expiry or make a new one"));
    found.settings.embedding_model = model_of(found.settings);
    settings.push_back(std::move(found.settings));
    if (!found.expires_after_days || now - found.last_active < kTouchEvery) continue;
    STOA_CHECK(sql_.execute("UPDATE collections SET last_active = ? WHERE id = ?", {now, id}));
  }
  return settings;
}

}  // namespace stoa::data
