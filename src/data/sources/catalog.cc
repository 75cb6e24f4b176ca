#include "data/sources/catalog.h"

#include <algorithm>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/utf8.h"
#include "data/sources/blob_collector.h"
#include "data/sources/rows.h"

namespace stoa::data {
namespace {

using infra::SqlParams;
using infra::SqlRow;

constexpr std::int64_t kOriginalLimit = 256 << 20;
constexpr Micros kTouchEvery = 3'600'000'000;  // writing at each search would make searches wait for the disk
constexpr int kContextReach = 2;               // chunks of the same section on either side

Error not_found(std::string_view kind, std::string_view id) { return error(ErrorCode::kNotFound, "no {} '{}'", kind, to_valid_utf8(id.substr(0, 80))); }

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

Catalog::Catalog(infra::SqlDatabase& sql, infra::BlobStore& blobs, Index& index, infra::EventBus* events, const Clock& clock)
    : sql_(sql), blobs_(blobs), index_(index), events_(events), clock_(clock) {}

Status Catalog::write(const std::function<Status(infra::SqlTransaction&)>& work) {
  std::lock_guard lock(writes_);
  return sql_.transaction(work);
}

Status Catalog::open(const std::string& embedding_model) {
  STOA_CHECK(sql_.migrate("data/sources", source_migrations()));
  return load_index(embedding_model);
}

Status Catalog::load_index(const std::string& embedding_model) {
  STOA_CHECK(sql_.for_each("SELECT id, project FROM collections", {}, [&](const SqlRow& row) -> Result<bool> {
    std::string id, project;
    STOA_CHECK(row.read(id, project));
    index_.add_collection(id, project);
    return true;
  }));
  IndexedDocument document;
  std::string collection;
  const auto put = [&]() -> Status {
    return document.chunks.empty() ? Status{} : index_.put(collection, std::exchange(document, {}));
  };
  STOA_CHECK(sql_.for_each(
      "SELECT d.id, d.collection, d.access, d.attributes, d.embedding_model, c.key, c.prefix, c.text, c.vector FROM chunks c "
      "JOIN documents d ON d.id = c.document WHERE d.status = ? ORDER BY c.document, c.ordinal",
      {std::int64_t{static_cast<int>(DocumentStatus::kCompleted)}}, [&](const SqlRow& row) -> Result<bool> {
        std::string id, owner, access, attributes, model, prefix, text;
        std::int64_t key = 0;
        std::optional<Bytes> vector;
        STOA_CHECK(row.read(id, owner, access, attributes, model, key, prefix, text, vector));
        if (id != document.id) {
          STOA_CHECK(put());
          STOA_TRY(list, AccessList::parse(access));
          STOA_TRY(parsed, attributes_from_json(attributes));
          document = {id, std::move(list), std::move(parsed), {}};
          collection = owner;
        }
        const bool usable = vector && !model.empty() && model == embedding_model;
        document.chunks.push_back({key, prefix.empty() ? text : prefix + "\n" + text, usable ? vector_from_bytes(*vector) : std::vector<float>()});
        return true;
      }));
  return put();
}

// --- collections ---------------------------------------------------------------------------------------------------------

Result<Collection> Catalog::create_collection(const Call& call, const CollectionSpec& spec) {
  STOA_CHECK(check_spec(spec.name, spec.metadata, spec.expires_after_days));
  if (call.principal.project.empty()) return fail(ErrorCode::kPermissionDenied, "a collection needs a project");
  const std::string id = new_id("vs");
  const Micros now = clock_.now();
  STOA_CHECK(write([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("INSERT INTO collections (id, project, name, metadata, expires_after_days, created, last_active) VALUES (?, ?, ?, ?, ?, ?, ?)",
                                   {id, call.principal.project, spec.name, metadata_to_json(spec.metadata),
                                    spec.expires_after_days ? infra::SqlValue(std::int64_t{*spec.expires_after_days}) : infra::SqlValue(nullptr), now, now}));
    transaction.on_commit([&] { index_.add_collection(id, call.principal.project); });
    return {};
  }));
  return collection(call, id);
}

Result<Collection> Catalog::with_counts(const Call& call, const SqlRow& row) {
  STOA_TRY(found, read_collection(row, clock_.now()));
  STOA_TRY(counts, count(call, found.id));
  found.counts = counts;
  await_index();
  return std::move(found);
}

Result<DocumentCounts> Catalog::count(const Call& call, const std::string& collection) {
  DocumentCounts counts;
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
        counts.total += number;
        switch (static_cast<DocumentStatus>(status)) {
          case DocumentStatus::kInProgress: counts.in_progress += number; break;
          case DocumentStatus::kFailed: counts.failed += number; break;
          case DocumentStatus::kCancelled: counts.cancelled += number; break;
          case DocumentStatus::kCompleted:
            counts.completed += number;
            counts.bytes += bytes;
            counts.chunks += chunks;
            break;
        }
        return true;
      }));
  return counts;
}

Result<Collection> Catalog::collection(const Call& call, const std::string& id) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {id, call.principal.project}));
  if (!row) return fail(not_found("collection", id));
  return with_counts(call, *row);
}

Result<Collection> Catalog::find_collection(const Call& call, const std::string& name) {
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE project = ? AND name = ? ORDER BY id LIMIT 1", kCollectionColumns), {call.principal.project, name}));
  if (!row) return fail(not_found("collection named", name).with_hint("'stoa search --help' tells how to list collections"));
  return with_counts(call, *row);
}

Result<Page<Collection>> Catalog::collections(const Call& call, const PageRequest& page) {
  STOA_CHECK(check_page(page));
  SqlParams params{call.principal.project};
  if (!page.after.empty()) params.emplace_back(page.after);
  STOA_TRY(rows, sql_.query(fmt::format("SELECT {} FROM collections WHERE project = ?{} LIMIT {}", kCollectionColumns, page_clause(page, "id"), page.limit + 1), params));
  Page<Collection> result;
  result.more = rows.size() > page.limit;
  for (std::size_t i = 0; i < std::min(rows.size(), page.limit); ++i) {
    STOA_TRY(item, with_counts(call, rows[i]));
    result.items.push_back(std::move(item));
  }
  return result;
}

Result<Collection> Catalog::change_collection(const Call& call, const std::string& id, const CollectionChange& change) {
  STOA_TRY(old, collection(call, id));
  const std::string name = change.name.value_or(old.name);
  const auto metadata = change.metadata.value_or(old.metadata);
  const auto days = change.expires_after_days.value_or(old.expires_after_days);
  STOA_CHECK(check_spec(name, metadata, days));
  STOA_CHECK(sql_.execute("UPDATE collections SET name = ?, metadata = ?, expires_after_days = ?, last_active = ? WHERE id = ? AND project = ?",
                          {name, metadata_to_json(metadata), days ? infra::SqlValue(std::int64_t{*days}) : infra::SqlValue(nullptr), clock_.now(), id, call.principal.project}));
  return collection(call, id);
}

Status Catalog::remove_collection(const Call& call, const std::string& id) {
  return write([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(digests, distinct_digests(transaction, "SELECT d.digest FROM documents d WHERE d.collection = ? UNION SELECT f.digest FROM ingest_files f "
                                                    "JOIN ingest_jobs j ON j.id = f.job WHERE j.collection = ?", {id, id}));
    STOA_TRY(removed, transaction.execute("DELETE FROM collections WHERE id = ? AND project = ?", {id, call.principal.project}));
    if (removed == 0) return fail(not_found("collection", id));
    transaction.on_commit([&] { index_.remove_collection(id); });
    return release_blobs(events_, transaction, digests);
  });
}

// --- documents -----------------------------------------------------------------------------------------------------------

Result<Document> Catalog::visible(const Call& call, const std::optional<SqlRow>& row, const std::string& id) {
  if (!row) return fail(not_found("document", id));
  STOA_TRY(stored, read_document(*row));
  if (!may_see(call.principal, stored)) return fail(not_found("document", id));
  await_index();
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
  STOA_CHECK(sql_.for_each(select_documents(where + page_clause(page, "d.id")), params, [&](const SqlRow& row) -> Result<bool> {
    STOA_TRY(stored, read_document(row));
    if (!may_see(call.principal, stored)) return true;
    result.more = result.items.size() == page.limit;
    if (!result.more) result.items.push_back(std::move(stored.document));
    return !result.more;
  }));
  return result;
}

Result<Document> Catalog::document(const Call& call, const std::string& id) {
  STOA_TRY(row, sql_.query_one(select_documents("d.id = ?"), {call.principal.project, id}));
  return visible(call, row, id);
}

Result<Document> Catalog::document_of_file(const Call& call, const std::string& collection, const std::string& file_id) {
  if (file_id.empty()) return fail(not_found("file", file_id));
  STOA_TRY(rows, sql_.query(select_documents("d.collection = ? AND d.file_id = ? ORDER BY d.id DESC"), {call.principal.project, collection, file_id}));
  for (const auto& row : rows) {
    if (auto found = visible(call, row, file_id)) return found;
  }
  return fail(not_found("file", file_id));
}

Result<Document> Catalog::set_attributes(const Call& call, const std::string& document, const Attributes& attributes) {
  STOA_CHECK(check_attributes(attributes));
  STOA_TRY(found, this->document(call, document));
  STOA_CHECK(write([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(transaction.execute("UPDATE documents SET attributes = ? WHERE id = ?", {attributes_to_json(attributes), document}));
    transaction.on_commit([&] { (void)index_.relabel(found.collection, document, found.access, attributes); });
    return {};
  }));
  found.attributes = attributes;
  return std::move(found);
}

Status Catalog::remove_document(const Call& call, const std::string& id) {
  STOA_CHECK(document(call, id));
  return write([&](infra::SqlTransaction& transaction) -> Status {
    return remove_documents(transaction, "d.id = ?", {id});
  });
}

Status Catalog::remove_documents(infra::SqlTransaction& transaction, std::string_view where, const SqlParams& params) {
  STOA_TRY(rows, transaction.query(fmt::format("SELECT d.id, d.collection, d.digest FROM documents d WHERE {}", where), params));
  std::vector<std::string> digests;
  for (const auto& row : rows) {
    std::string id, collection, digest;
    STOA_CHECK(row.read(id, collection, digest));
    STOA_CHECK(transaction.execute("DELETE FROM documents WHERE id = ?", {id}));
    transaction.on_commit([this, id, collection] { index_.remove(collection, id); });
    digests.push_back(std::move(digest));
  }
  return release_blobs(events_, transaction, digests);
}

Status Catalog::remove_documents_of_file(const Call& call, const std::string& file_id) {
  if (file_id.empty()) return fail(not_found("file", file_id));
  return write([&](infra::SqlTransaction& transaction) -> Status {
    return remove_documents(transaction, "d.file_id = ? AND d.collection IN (SELECT id FROM collections WHERE project = ?)", {file_id, call.principal.project});
  });
}

Result<std::vector<std::string>> Catalog::document_text(const Call& call, const std::string& id) {
  STOA_TRY(found, document(call, id));
  if (!may_read(call.principal, found.access)) return fail(not_found("document", id));
  std::vector<std::string> texts;
  STOA_CHECK(sql_.for_each("SELECT text FROM chunks WHERE document = ? ORDER BY ordinal", {id}, [&](const SqlRow& row) -> Result<bool> {
    STOA_TRY(text, row.get<std::string>(0));
    texts.push_back(std::move(text));
    return true;
  }));
  return texts;
}

Result<DocumentContent> Catalog::open_document(const Call& call, const std::string& id) {
  STOA_TRY(found, document(call, id));
  if (!may_read(call.principal, found.access)) return fail(not_found("document", id));
  STOA_TRY(bytes, blobs_.get(found.digest, kOriginalLimit));
  return DocumentContent{std::move(found), std::move(bytes)};
}

// --- for search ----------------------------------------------------------------------------------------------------------

Status Catalog::check_searchable(const Call& call, std::span<const std::string> ids) {
  const Micros now = clock_.now();
  for (const auto& id : ids) {
    STOA_TRY(row, sql_.query_one(fmt::format("SELECT {} FROM collections WHERE id = ? AND project = ?", kCollectionColumns), {id, call.principal.project}));
    if (!row) return fail(not_found("collection", id));
    STOA_TRY(found, read_collection(*row, now));
    if (found.expired) return fail(error(ErrorCode::kNotFound, "the collection '{}' has expired", id).with_hint("change its expiry or make a new one"));
    if (!found.expires_after_days || now - found.last_active < kTouchEvery) continue;
    STOA_CHECK(sql_.execute("UPDATE collections SET last_active = ? WHERE id = ?", {now, id}));
  }
  return {};
}

Result<std::vector<Passage>> Catalog::passages(const Call& call, std::span<const Hit> hits) {
  std::vector<Passage> passages;
  for (const Hit& hit : hits) {
    STOA_TRY(row, sql_.query_one("SELECT k.id, k.section, k.anchor, k.page, k.text, k.ordinal, k.parent, d.id, d.collection, d.file_id, d.path, d.title, d.digest, d.access "
                                 "FROM chunks k JOIN documents d ON d.id = k.document JOIN collections c ON c.id = d.collection "
                                 "WHERE k.key = ? AND c.project = ? AND d.status = ?",
                                 {hit.key, call.principal.project, std::int64_t{static_cast<int>(DocumentStatus::kCompleted)}}));
    if (!row) continue;  // removed since
    Passage passage;
    std::string section, access;
    std::int64_t ordinal = 0, parent = 0;
    STOA_CHECK(row->read(passage.chunk_id, section, passage.anchor, passage.page, passage.text, ordinal, parent, passage.document_id, passage.collection,
                         passage.file_id, passage.path, passage.title, passage.document_version, access));
    STOA_TRY(list, AccessList::parse(access));
    passage.readers = permitting_entry(call.principal, list);
    if (passage.readers.empty()) continue;
    STOA_TRY(headings, strings_from_json(section));
    passage.section = std::move(headings);
    passage.score = hit.score;
    STOA_TRY(around, sql_.query("SELECT text FROM chunks WHERE document = ? AND parent = ? AND ordinal BETWEEN ? AND ? ORDER BY ordinal",
                                {passage.document_id, parent, ordinal - kContextReach, ordinal + kContextReach}));
    for (const auto& sibling : around) {
      if (around.size() == 1) break;
      STOA_TRY(text, sibling.get<std::string>(0));
      passage.context += (passage.context.empty() ? "" : "\n\n") + text;
    }
    passages.push_back(std::move(passage));
  }
  return passages;
}

}  // namespace stoa::data
