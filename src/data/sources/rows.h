// The tables of collections, documents and ingest jobs, and the way between rows and structs. Internal to this folder.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/principal.h"
#include "data/parse/chunk.h"
#include "data/sources/catalog.h"
#include "governance/protection/sealed_table.h"
#include "infra/sql/sql.h"

namespace stoa::data {

std::span<const infra::Migration> source_migrations();

inline constexpr std::string_view kCollectionColumns = "id, project, expires_after_days, created, last_active, sealed";
inline constexpr std::string_view kDocumentColumns =
    "d.id, d.collection, d.file_id, d.content_type, d.bytes, d.chunks, d.access, d.status, d.error_code, d.created, d.owner, "
    "d.embedding_model, d.generation, d.sealed";

// A document with what only this folder asks about.
struct StoredDocument {
  Document document;
  std::string owner;            // id of the principal that brought it in
  std::string embedding_model;  // of its vectors; empty: none
  std::string generation;       // of its chunks that live
};

Result<Collection> read_collection(const infra::SqlRow& row, const governance::ProjectKeys& keys, Micros now);
Result<StoredDocument> read_document(const infra::SqlRow& row, const governance::ProjectKeys& keys);

// What of a row is content, sealed; and back. Their columns are named in sealed_tables().
Result<infra::SqlValue> seal_collection(const governance::ProjectKeys& keys, const std::string& id, const std::string& name,
                                        const std::map<std::string, std::string>& metadata, const CollectionSettings& settings);
Result<infra::SqlValue> seal_document(const governance::ProjectKeys& keys, const Document& document);
// `sentences` as pack_sentences makes them; may be empty.
Result<infra::SqlValue> seal_chunk(const governance::ProjectKeys& keys, std::int64_t key, const Chunk& chunk, std::span<const float> vector, std::string_view sentences);
struct OpenedChunk {
  std::string section;  // JSON
  std::string anchor, prefix, text;
  std::vector<float> vector;
  std::string sentences;
};
Result<OpenedChunk> open_chunk(const governance::ProjectKeys& keys, std::int64_t key, ByteSpan sealed);
Result<infra::SqlValue> seal_job(const governance::ProjectKeys& keys, const std::string& id, const std::string& source, const Attributes& attributes, const CollectionSettings& settings);
struct StoredFileName {
  std::string path, digest, error;
};
Result<infra::SqlValue> seal_file(const governance::ProjectKeys& keys, const std::string& job, std::int64_t ordinal, const StoredFileName& file);
Result<StoredFileName> open_file(const governance::ProjectKeys& keys, const std::string& job, std::int64_t ordinal, ByteSpan sealed);

// What rows are looked up by: equal inside a project where the names are.
std::string collection_tag(const governance::ProjectKeys& keys, const std::string& name);
std::string source_tag(const governance::ProjectKeys& keys, const std::string& source);
std::string path_tag(const governance::ProjectKeys& keys, const std::string& source, const std::string& path);

// In the order in which rows of an earlier release are taken over.
std::vector<governance::SealedTable> source_tables(governance::SealedBlobs& blobs);

// Seen in lists and removable: by its readers and by whoever brought it in. The projects have been compared.
bool may_see(const Principal& principal, const StoredDocument& stored);

std::string attributes_to_json(const Attributes& attributes);
Result<Attributes> attributes_from_json(std::string_view text);
std::string metadata_to_json(const std::map<std::string, std::string>& metadata);
std::string settings_to_json(const CollectionSettings& settings);
Result<CollectionSettings> settings_from_json(std::string_view text);
std::string strings_to_json(const std::vector<std::string>& strings);
Result<std::vector<std::string>> strings_from_json(std::string_view text);
std::string principal_to_json(const Principal& principal);
Result<Principal> principal_from_json(std::string_view text);

}  // namespace stoa::data
