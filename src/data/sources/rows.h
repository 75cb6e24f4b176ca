// The tables of collections, documents and ingest jobs, and the way between rows and structs. Internal to this folder.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/principal.h"
#include "data/sources/catalog.h"
#include "infra/sql/sql.h"

namespace stoa::data {

std::span<const infra::Migration> source_migrations();

inline constexpr std::string_view kCollectionColumns = "id, project, name, metadata, expires_after_days, created, last_active";
inline constexpr std::string_view kDocumentColumns =
    "d.id, d.collection, d.source, d.path, d.file_id, d.title, d.content_type, d.digest, d.bytes, d.chunks, d.access, d.attributes, "
    "d.status, d.error_code, d.error, d.created, d.owner, d.embedding_model";

// A document with what only this folder asks about.
struct StoredDocument {
  Document document;
  std::string owner;            // id of the principal that brought it in
  std::string embedding_model;  // of its vectors; empty: none
};

Result<Collection> read_collection(const infra::SqlRow& row, Micros now);
Result<StoredDocument> read_document(const infra::SqlRow& row);

// Seen in lists and removable: by its readers and by whoever brought it in. The projects have been compared.
bool may_see(const Principal& principal, const StoredDocument& stored);

std::string attributes_to_json(const Attributes& attributes);
Result<Attributes> attributes_from_json(std::string_view text);
std::string metadata_to_json(const std::map<std::string, std::string>& metadata);
std::string strings_to_json(const std::vector<std::string>& strings);
Result<std::vector<std::string>> strings_from_json(std::string_view text);
std::string principal_to_json(const Principal& principal);
Result<Principal> principal_from_json(std::string_view text);

Bytes vector_to_bytes(std::span<const float> vector);  // little-endian float32
std::vector<float> vector_from_bytes(const Bytes& bytes);

}  // namespace stoa::data
