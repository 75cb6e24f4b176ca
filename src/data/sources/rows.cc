#include "data/sources/rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/json.h"

namespace stoa::data {
namespace {

static_assert(std::endian::native == std::endian::little, "vectors are stored as they lie in memory");

constexpr std::array<infra::Migration, 2> kMigrations{{{1, R"sql(
CREATE TABLE collections (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, name TEXT NOT NULL, metadata TEXT NOT NULL, expires_after_days INTEGER,
  created INTEGER NOT NULL, last_active INTEGER NOT NULL);
CREATE INDEX collections_by_project ON collections (project, id);
CREATE TABLE documents (
  id TEXT PRIMARY KEY, collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE, source TEXT NOT NULL, path TEXT NOT NULL,
  file_id TEXT NOT NULL, title TEXT NOT NULL, content_type TEXT NOT NULL, digest TEXT NOT NULL, bytes INTEGER NOT NULL,
  chunks INTEGER NOT NULL, access TEXT NOT NULL, attributes TEXT NOT NULL, status INTEGER NOT NULL, error_code INTEGER NOT NULL,
  error TEXT NOT NULL, created INTEGER NOT NULL, owner TEXT NOT NULL, embedding_model TEXT NOT NULL);
CREATE INDEX documents_by_collection ON documents (collection, id);
CREATE INDEX documents_by_path ON documents (collection, source, path);
CREATE INDEX documents_by_file ON documents (collection, file_id);
CREATE INDEX documents_by_digest ON documents (digest);
CREATE TABLE chunks (
  key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, document TEXT NOT NULL REFERENCES documents (id) ON DELETE CASCADE,
  ordinal INTEGER NOT NULL, parent INTEGER NOT NULL, section TEXT NOT NULL, anchor TEXT NOT NULL, page INTEGER NOT NULL,
  prefix TEXT NOT NULL, text TEXT NOT NULL, vector BLOB);
CREATE INDEX chunks_by_document ON chunks (document, ordinal);
CREATE TABLE chunk_keys (last INTEGER NOT NULL);
INSERT INTO chunk_keys (last) VALUES (0);
CREATE TABLE ingest_jobs (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, collection TEXT NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
  owner TEXT NOT NULL, principal TEXT NOT NULL, source TEXT NOT NULL, access TEXT NOT NULL, attributes TEXT NOT NULL,
  prune INTEGER NOT NULL, attach INTEGER NOT NULL, chunk_tokens INTEGER NOT NULL, status INTEGER NOT NULL, created INTEGER NOT NULL,
  total INTEGER NOT NULL, done INTEGER NOT NULL, failed INTEGER NOT NULL, unchanged INTEGER NOT NULL, removed INTEGER NOT NULL,
  bytes INTEGER NOT NULL, chunks INTEGER NOT NULL, tokens INTEGER NOT NULL, compute_micros INTEGER NOT NULL);
CREATE INDEX ingest_jobs_by_status ON ingest_jobs (status, id);
CREATE TABLE ingest_files (
  job TEXT NOT NULL REFERENCES ingest_jobs (id) ON DELETE CASCADE, ordinal INTEGER NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL,
  bytes INTEGER NOT NULL, content_type TEXT NOT NULL, document TEXT NOT NULL, present INTEGER NOT NULL, status INTEGER NOT NULL,
  error TEXT NOT NULL, PRIMARY KEY (job, ordinal));
CREATE INDEX ingest_files_by_status ON ingest_files (job, status, ordinal);
CREATE INDEX ingest_files_by_path ON ingest_files (job, path);
)sql"},
                                                        {2, "CREATE INDEX ingest_files_by_digest ON ingest_files (digest)"}}};

Result<JsonObject> object_from(std::string_view text) {
  STOA_TRY(value, parse_json(text));
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "a stored value is not a JSON object");
  return std::move(value.as_object());
}

}  // namespace

std::span<const infra::Migration> source_migrations() { return kMigrations; }

Result<Collection> read_collection(const infra::SqlRow& row, Micros now) {
  Collection collection;
  std::string metadata;
  STOA_CHECK(row.read(collection.id, collection.project, collection.name, metadata, collection.expires_after_days, collection.created, collection.last_active));
  STOA_TRY(object, object_from(metadata));
  for (const auto& [key, value] : object) collection.metadata.emplace(key, value.is_string() ? std::string(value.as_string()) : std::string());
  if (collection.expires_after_days) {
    collection.expires = collection.last_active + Micros{*collection.expires_after_days} * 86'400'000'000;
    collection.expired = *collection.expires <= now;
  }
  return collection;
}

Result<StoredDocument> read_document(const infra::SqlRow& row) {
  StoredDocument stored;
  Document& d = stored.document;
  std::string access, attributes;
  int status = 0, code = 0;
  STOA_CHECK(row.read(d.id, d.collection, d.source, d.path, d.file_id, d.title, d.content_type, d.digest, d.bytes, d.chunks, access, attributes,
                      status, code, d.error, d.created, stored.owner, stored.embedding_model));
  STOA_TRY(list, AccessList::parse(access));
  STOA_TRY(parsed, attributes_from_json(attributes));
  d.access = std::move(list);
  d.attributes = std::move(parsed);
  d.status = static_cast<DocumentStatus>(status);
  d.error_code = static_cast<ErrorCode>(code);
  return stored;
}

bool may_see(const Principal& principal, const StoredDocument& stored) {
  return may_read(principal, stored.document.access) || (!principal.id.empty() && principal.id == stored.owner);
}

std::string attributes_to_json(const Attributes& attributes) {
  JsonObject object;
  for (const auto& [key, value] : attributes) {
    std::visit([&](const auto& content) { object[key] = content; }, value);
  }
  return dump_json(object);
}

Result<Attributes> attributes_from_json(std::string_view text) {
  STOA_TRY(object, object_from(text));
  Attributes attributes;
  for (const auto& [key, value] : object) {
    if (value.is_bool()) {
      attributes[key] = value.as_bool();
    } else if (value.is_number()) {
      attributes[key] = value.to_number<double>();
    } else if (value.is_string()) {
      attributes[key] = std::string(value.as_string());
    }
  }
  return attributes;
}

std::string metadata_to_json(const std::map<std::string, std::string>& metadata) {
  JsonObject object;
  for (const auto& [key, value] : metadata) object[key] = value;
  return dump_json(object);
}

std::string strings_to_json(const std::vector<std::string>& strings) { return dump_json(JsonArray(strings.begin(), strings.end())); }

Result<std::vector<std::string>> strings_from_json(std::string_view text) {
  STOA_TRY(value, parse_json(text));
  if (!value.is_array()) return fail(ErrorCode::kDataLoss, "a stored value is not a JSON array");
  std::vector<std::string> strings;
  for (const auto& item : value.as_array()) strings.emplace_back(item.is_string() ? std::string_view(item.as_string()) : std::string_view());
  return strings;
}

std::string principal_to_json(const Principal& p) {
  return dump_json(JsonObject{{"id", p.id}, {"tenant", p.tenant}, {"project", p.project}, {"user", p.user},
                              {"groups", JsonArray(p.groups.begin(), p.groups.end())}, {"role", p.role}});
}

Result<Principal> principal_from_json(std::string_view text) {
  STOA_TRY(object, object_from(text));
  Principal principal;
  for (const auto& [name, target] : {std::pair{"id", &principal.id}, {"tenant", &principal.tenant}, {"project", &principal.project}, {"user", &principal.user}}) {
    STOA_TRY(value, read_string(object, name));
    *target = value.value_or("");
  }
  if (const Json* groups = find(object, "groups")) {
    STOA_TRY(names, strings_from_json(dump_json(*groups)));
    principal.groups = std::move(names);
  }
  // Jobs of older programs have a number here, and no decision is made by it.
  if (const Json* role = find(object, "role"); role != nullptr && role->is_string()) principal.role = role->as_string();
  return principal;
}

Bytes vector_to_bytes(std::span<const float> vector) {
  const auto bytes = std::as_bytes(vector);
  return {bytes.begin(), bytes.end()};
}

std::vector<float> vector_from_bytes(const Bytes& bytes) {
  std::vector<float> vector(bytes.size() / sizeof(float));
  if (!vector.empty()) std::memcpy(vector.data(), bytes.data(), vector.size() * sizeof(float));
  return vector;
}

}  // namespace stoa::data
