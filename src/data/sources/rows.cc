#include "data/sources/rows.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "base/json.h"

namespace stoa::data {
namespace {

using governance::open_record;
using governance::ProjectKeys;
using governance::row_context;
using governance::seal_record;
using governance::SealedTable;

static_assert(std::endian::native == std::endian::little, "vectors are stored as they lie in memory");

// A collection that was removed belongs to the project '' until its documents and jobs are deleted, and it with them.
constexpr std::array<infra::Migration, 6> kMigrations{{{1, R"sql(
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
                                                        {2, "CREATE INDEX ingest_files_by_digest ON ingest_files (digest)"},
                                                        // Content goes into `sealed`; `digest` holds the blob's address from here on.
                                                        {3, R"sql(
ALTER TABLE collections ADD COLUMN sealed BLOB;
ALTER TABLE collections ADD COLUMN name_tag TEXT NOT NULL DEFAULT '';
CREATE INDEX collections_by_name ON collections (project, name_tag);
ALTER TABLE documents ADD COLUMN sealed BLOB;
ALTER TABLE documents ADD COLUMN source_tag TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN path_tag TEXT NOT NULL DEFAULT '';
DROP INDEX documents_by_path;
CREATE INDEX documents_by_path ON documents (collection, source_tag, path_tag);
ALTER TABLE chunks ADD COLUMN sealed BLOB;
ALTER TABLE ingest_jobs ADD COLUMN sealed BLOB;
ALTER TABLE ingest_files ADD COLUMN sealed BLOB;
ALTER TABLE ingest_files ADD COLUMN path_tag TEXT NOT NULL DEFAULT '';
DROP INDEX ingest_files_by_path;
CREATE INDEX ingest_files_by_path ON ingest_files (job, path_tag);
)sql"},
                                                        // Chunks with the id of a job in `staged` wait to take the place of those their document has.
                                                        {4, R"sql(
ALTER TABLE chunks ADD COLUMN staged TEXT NOT NULL DEFAULT '';
CREATE INDEX chunks_by_job ON chunks (staged) WHERE staged <> '';
ALTER TABLE ingest_jobs ADD COLUMN reindex INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ingest_files_by_document ON ingest_files (job, document);
)sql"},
                                                        // `staged` lies behind the text and the vector of a chunk: asking for it must not read them.
                                                        {5, R"sql(
DROP INDEX chunks_by_document;
CREATE INDEX chunks_by_document ON chunks (document, staged, ordinal);
)sql"},
                                                        // The document says which of its chunks live: those of its generation, which is that of the job that made them anew, and at first ''. Where
                                                        // `stale` is 1 it may have others, which are deleted by and by; those of a job that is at work wait for it.
                                                        {6, R"sql(
DROP INDEX chunks_by_job;
ALTER TABLE chunks RENAME COLUMN staged TO generation;
ALTER TABLE documents ADD COLUMN generation TEXT NOT NULL DEFAULT '';
ALTER TABLE documents ADD COLUMN stale INTEGER NOT NULL DEFAULT 0;
CREATE INDEX documents_stale ON documents (id) WHERE stale = 1;
)sql"}}};

Result<JsonObject> object_from(std::string_view text) {
  STOA_TRY(value, parse_json(text));
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "a stored value is not a JSON object");
  return std::move(value.as_object());
}

}  // namespace

std::span<const infra::Migration> source_migrations() { return kMigrations; }

Result<Collection> read_collection(const infra::SqlRow& row, const ProjectKeys& keys, Micros now) {
  Collection collection;
  Bytes sealed;
  STOA_CHECK(row.read(collection.id, collection.project, collection.expires_after_days, collection.created, collection.last_active, sealed));
  STOA_TRY(record, open_record(keys, row_context("collections", collection.id), sealed, 2));
  collection.name = record.text(0);
  STOA_TRY(object, object_from(record.fields[1]));
  for (const auto& [key, value] : object) collection.metadata.emplace(key, value.is_string() ? std::string(value.as_string()) : std::string());
  if (record.fields.size() > 2) {  // rows of earlier releases have none
    STOA_TRY(settings, settings_from_json(record.fields[2]));
    collection.settings = std::move(settings);
  }
  if (collection.expires_after_days) {
    collection.expires = collection.last_active + Micros{*collection.expires_after_days} * 86'400'000'000;
    collection.expired = *collection.expires <= now;
  }
  return collection;
}

Result<infra::SqlValue> seal_collection(const ProjectKeys& keys, const std::string& id, const std::string& name, const std::map<std::string, std::string>& metadata,
                                        const CollectionSettings& settings) {
  return seal_record(keys, row_context("collections", id), {name, metadata_to_json(metadata), settings_to_json(settings)});
}

Result<StoredDocument> read_document(const infra::SqlRow& row, const ProjectKeys& keys) {
  StoredDocument stored;
  Document& d = stored.document;
  std::string access;
  Bytes sealed;
  int status = 0, code = 0;
  STOA_CHECK(row.read(d.id, d.collection, d.file_id, d.content_type, d.bytes, d.chunks, access, status, code, d.created, stored.owner, stored.embedding_model, stored.generation, sealed));
  STOA_TRY(list, AccessList::parse(access));
  STOA_TRY(record, open_record(keys, row_context("documents", d.id), sealed, 6));
  for (const auto& [index, target] : {std::pair{0, &d.source}, {1, &d.path}, {2, &d.title}, {4, &d.error}, {5, &d.digest}}) *target = record.text(static_cast<std::size_t>(index));
  STOA_TRY(parsed, attributes_from_json(record.fields[3]));
  d.access = std::move(list);
  d.attributes = std::move(parsed);
  d.status = static_cast<DocumentStatus>(status);
  d.error_code = static_cast<ErrorCode>(code);
  return stored;
}

Result<infra::SqlValue> seal_document(const ProjectKeys& keys, const Document& d) {
  return seal_record(keys, row_context("documents", d.id), {d.source, d.path, d.title, attributes_to_json(d.attributes), d.error, d.digest});
}

Result<infra::SqlValue> seal_chunk(const ProjectKeys& keys, std::int64_t key, const Chunk& chunk, std::span<const float> vector, std::string_view sentences) {
  return seal_record(keys, row_context("chunks", std::to_string(key)),
                     {strings_to_json(chunk.section), chunk.anchor, chunk.prefix, chunk.text, as_text(std::as_bytes(vector)), sentences});
}

Result<OpenedChunk> open_chunk(const ProjectKeys& keys, std::int64_t key, ByteSpan sealed) {
  STOA_TRY(record, open_record(keys, row_context("chunks", std::to_string(key)), sealed, 5));
  OpenedChunk chunk{record.text(0), record.text(1), record.text(2), record.text(3), std::vector<float>(record.fields[4].size() / sizeof(float)), {}};
  if (record.fields.size() > 5) chunk.sentences = record.text(5);  // rows of earlier releases have none
  if (!chunk.vector.empty()) std::memcpy(chunk.vector.data(), record.fields[4].data(), chunk.vector.size() * sizeof(float));
  return chunk;
}

Result<infra::SqlValue> seal_job(const ProjectKeys& keys, const std::string& id, const std::string& source, const Attributes& attributes, const CollectionSettings& settings) {
  return seal_record(keys, row_context("ingest_jobs", id), {source, attributes_to_json(attributes), settings_to_json(settings)});
}

Result<infra::SqlValue> seal_file(const ProjectKeys& keys, const std::string& job, std::int64_t ordinal, const StoredFileName& file) {
  return seal_record(keys, row_context("ingest_files", job, ordinal), {file.path, file.digest, file.error});
}

Result<StoredFileName> open_file(const ProjectKeys& keys, const std::string& job, std::int64_t ordinal, ByteSpan sealed) {
  STOA_TRY(record, open_record(keys, row_context("ingest_files", job, ordinal), sealed, 3));
  return StoredFileName{record.text(0), record.text(1), record.text(2)};
}

std::string collection_tag(const ProjectKeys& keys, const std::string& name) { return keys.tag("collections.name", name); }
std::string source_tag(const ProjectKeys& keys, const std::string& source) { return keys.tag("documents.source", source); }
std::string path_tag(const ProjectKeys& keys, const std::string& source, const std::string& path) {
  return keys.tag("documents.path", fmt::format("{}\n{}", keys.tag("documents.source", source), path));
}

std::vector<SealedTable> source_tables(governance::SealedBlobs& blobs) {
  using Columns = std::vector<std::pair<std::string, infra::SqlValue>>;
  std::vector<SealedTable> tables;
  tables.push_back({.name = "collections", .ids = {"id"}, .project = "t.project", .from = "collections t", .columns = {"name", "metadata"},
                    .also = [](const ProjectKeys& keys, std::vector<std::string>& fields, const infra::SqlRow&) -> Result<Columns> {
                      return Columns{{"name_tag", collection_tag(keys, fields[0])}};
                    }});
  tables.push_back({.name = "chunks", .ids = {"key"}, .project = "c.project",
                    .from = "chunks t JOIN documents d ON d.id = t.document JOIN collections c ON c.id = d.collection",
                    .columns = {"section", "anchor", "prefix", "text", "vector"}});
  tables.push_back({.name = "documents", .ids = {"id"}, .project = "c.project", .from = "documents t JOIN collections c ON c.id = t.collection",
                    .columns = {"source", "path", "title", "attributes", "error", "digest"},
                    .blobs = "SELECT d.digest FROM documents d JOIN collections c ON c.id = d.collection WHERE c.project = ?",
                    .also = [&blobs](const ProjectKeys& keys, std::vector<std::string>& fields, const infra::SqlRow&) -> Result<Columns> {
                      STOA_CHECK(blobs.take_over(keys, fields[5]));
                      return Columns{{"source_tag", source_tag(keys, fields[0])}, {"path_tag", path_tag(keys, fields[0], fields[1])},
                                     {"digest", blobs.address_of(keys, fields[5])}};
                    }});
  tables.push_back({.name = "ingest_files", .ids = {"job", "ordinal"}, .project = "j.project", .from = "ingest_files t JOIN ingest_jobs j ON j.id = t.job",
                    .columns = {"path", "digest", "error"},
                    .blobs = "SELECT f.digest FROM ingest_files f JOIN ingest_jobs j ON j.id = f.job WHERE j.project = ? AND f.present = 1",
                    .also = [&blobs](const ProjectKeys& keys, std::vector<std::string>& fields, const infra::SqlRow& row) -> Result<Columns> {
                      STOA_CHECK(blobs.take_over(keys, fields[1]));
                      STOA_TRY(source, row.get<std::string>("source"));
                      return Columns{{"path_tag", path_tag(keys, source, fields[0])}, {"digest", blobs.address_of(keys, fields[1])}};
                    },
                    .also_columns = ", j.source"});
  tables.push_back({.name = "ingest_jobs", .ids = {"id"}, .project = "t.project", .from = "ingest_jobs t", .columns = {"source", "attributes"}});
  return tables;
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

std::string settings_to_json(const CollectionSettings& settings) { return dump_json(JsonObject{{"language", settings.language}, {"chunk_tokens", settings.chunk_tokens}, {"embedding_model", settings.embedding_model}, {"search", settings.search}}); }

Result<CollectionSettings> settings_from_json(std::string_view text) {
  STOA_TRY(object, object_from(text));
  CollectionSettings settings;
  STOA_TRY(language, read_string(object, "language"));
  STOA_TRY(model, read_string(object, "embedding_model"));
  STOA_TRY(search, read_string(object, "search"));
  settings.language = language.value_or(settings.language);
  settings.embedding_model = model.value_or("");
  settings.search = search.value_or("");
  if (const Json* tokens = find(object, "chunk_tokens"); tokens != nullptr && tokens->is_int64()) settings.chunk_tokens = static_cast<int>(tokens->as_int64());
  return settings;
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

}  // namespace stoa::data
