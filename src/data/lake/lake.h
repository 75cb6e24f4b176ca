// Datasets: immutable versions, each a manifest and shards of rows (JSONL, zstd) in the blob store, named by their content.
// Manifests and shards are sealed under the key of the project (governance/protection).
//
// Manifest (JSON): {"format":"stoa.dataset.v1","rows":N,"bytes":N,"schema":[{"name","type"}],"shards":[{"digest","rows","bytes"}],
// "parents":["sha256:..."]}. Its digest is the version's id, so the same rows with the same parents are the same version.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "governance/protection/sealed_blobs.h"
#include "governance/protection/sealed_table.h"
#include "infra/sql/sql.h"

namespace stoa::data {

struct DatasetField {
  std::string name;
  std::string type;  // string, integer, number, boolean, object, array, null, or mixed
  bool operator==(const DatasetField&) const = default;
};

struct DatasetShard {
  std::string digest;      // of the compressed bytes
  std::int64_t rows = 0;
  std::int64_t bytes = 0;  // of the rows, uncompressed
};

struct DatasetVersion {
  std::string id;           // digest of the manifest: "sha256:..."
  std::string name;
  int number = 0;           // 1, 2, 3, ... within the name
  std::int64_t rows = 0;
  std::int64_t bytes = 0;
  std::vector<DatasetField> schema;  // fields of the rows, by name
  std::vector<DatasetShard> shards;
  std::vector<std::string> parents;  // ids of versions it was made from
  Micros created = 0;
};

struct DatasetSummary {
  std::string name;
  int versions = 0;
  std::string latest;  // id
  Micros created = 0;  // of the latest
};

// Gives the rows one after the other, each the text of one JSON object; nothing at the end. An error ends the making.
using RowSource = std::function<Result<std::optional<std::string>>()>;
using RowVisitor = std::function<Result<bool>(const std::string& row)>;  // false stops

struct LakeLimits {
  std::int64_t shard_bytes = 16 << 20;  // a shard ends after this many bytes of rows
  std::size_t max_row_bytes = 4u << 20;
  std::int64_t max_rows = 100'000'000;
  std::size_t max_fields = 1'000;       // of the schema
};

// Datasets belong to the caller's project. Thread-safe.
class Lake {
 public:
  Lake(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, LakeLimits limits = {}, const Clock& clock = Clock::system());
  Status open();  // brings the tables up to date
  // Whether a version needs the blob of this address: for whoever frees blobs.
  static Result<bool> uses(infra::SqlSession& session, const std::string& address);
  static governance::SealedTable sealed_table();

  // Names: 1..128 bytes of letters, digits and ._- . The latest version is given back unchanged when its content is the same.
  Result<DatasetVersion> create_version(const Call& call, const std::string& name, const RowSource& rows,
                                        const std::vector<std::string>& parents = {});
  Result<std::vector<DatasetSummary>> list(const Call& call);
  Result<std::vector<DatasetVersion>> versions(const Call& call, const std::string& name);  // newest first
  // `version` is an id, or "NAME" for its latest, or "NAME@3".
  Result<DatasetVersion> version(const Call& call, const std::string& version);
  // Rows from `offset` on, in order, until the visitor stops or `limit` rows were given.
  Status read(const Call& call, const std::string& version, std::int64_t offset, std::int64_t limit, const RowVisitor& visit);

 private:
  Status note_blobs();
  Status note_blobs(const governance::ProjectKeys& keys, const std::string& version);
  Result<governance::ProjectKeys> keys(const Call& call) { return blobs_.sealer().project(call.principal.project); }

  infra::SqlDatabase& sql_;
  governance::SealedBlobs& blobs_;
  const LakeLimits limits_;
  const Clock& clock_;
};

}  // namespace stoa::data
