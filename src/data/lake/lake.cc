#include "data/lake/lake.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <map>

#include "base/json.h"
#include "base/utf8.h"
#include "data/lake/shard.h"

namespace stoa::data {
namespace {

using infra::SqlRow;

constexpr std::string_view kFormat = "stoa.dataset.v1";
constexpr std::uint64_t kMaxManifest = 64 << 20;
constexpr std::size_t kMaxParents = 64;

constexpr std::array<infra::Migration, 3> kMigrations{{{1, R"sql(
CREATE TABLE dataset_versions (
  project TEXT NOT NULL, name TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY (project, name, number));
CREATE INDEX dataset_versions_by_id ON dataset_versions (project, id);
)sql"},
                                                        // The manifest and the shards of each version.
                                                        {2, "CREATE TABLE dataset_blobs (digest TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (digest, version))"},
                                                        // The same by project: a blob has an address in each.
                                                        {3, R"sql(
DROP TABLE dataset_blobs;
CREATE TABLE dataset_blobs (
  address TEXT NOT NULL, project TEXT NOT NULL, version TEXT NOT NULL, PRIMARY KEY (address, project, version));
CREATE INDEX dataset_blobs_by_version ON dataset_blobs (project, version);
)sql"}}};

Status check_name(const std::string& name) {
  const bool good = !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (!good) return fail(error(ErrorCode::kInvalidArgument, "'{}' is no name for a dataset", to_valid_utf8(name.substr(0, 128))).with_hint("use 1 to 128 letters, digits and ._-").with_param("name"));
  return {};
}

Error no_dataset(std::string_view id) { return error(ErrorCode::kNotFound, "no dataset '{}'", to_valid_utf8(id.substr(0, 160))); }

std::string_view type_of(const Json& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return "null";
    case boost::json::kind::bool_: return "boolean";
    case boost::json::kind::int64: case boost::json::kind::uint64: return "integer";
    case boost::json::kind::double_: return "number";
    case boost::json::kind::string: return "string";
    case boost::json::kind::array: return "array";
    case boost::json::kind::object: return "object";
  }
  return "mixed";
}

std::string joined(const std::string& a, std::string_view b) {
  if (a == b || b == "null") return a;
  if (a == "null") return std::string(b);
  const bool numbers = (a == "integer" || a == "number") && (b == "integer" || b == "number");
  return numbers ? "number" : "mixed";
}

// Cuts rows into shards and learns their schema on the way.
class Writer {
 public:
  Writer(governance::SealedBlobs& blobs, const governance::ProjectKeys& keys, const LakeLimits& limits) : blobs_(blobs), keys_(keys), limits_(limits) {}

  Status add(const std::string& row) {
    if (version_.rows >= limits_.max_rows) return fail(ErrorCode::kTooLarge, "more than {} rows", limits_.max_rows);
    const auto at = [&](Error problem) { return fail(std::move(problem).in(fmt::format("row {}", version_.rows + 1))); };
    if (row.size() > limits_.max_row_bytes) return at(error(ErrorCode::kTooLarge, "{} bytes, more than {}", row.size(), limits_.max_row_bytes));
    auto value = parse_json(row);
    if (!value) return at(std::move(value).error());
    if (!value->is_object()) return at(error(ErrorCode::kInvalidArgument, "not a JSON object"));
    for (const auto& [key, content] : value->as_object()) {
      const auto [found, is_new] = schema_.try_emplace(std::string(key), std::string(type_of(content)));
      if (!is_new) found->second = joined(found->second, type_of(content));
    }
    if (schema_.size() > limits_.max_fields) return at(error(ErrorCode::kTooLarge, "more than {} different fields", limits_.max_fields));
    text_ += dump_json(*value);  // one spelling, one line
    text_ += '\n';
    ++rows_;
    ++version_.rows;
    return static_cast<std::int64_t>(text_.size()) >= limits_.shard_bytes ? flush() : Status{};
  }

  Result<DatasetVersion> finish(const std::vector<std::string>& parents) {
    STOA_CHECK(flush());
    for (const auto& [name, type] : schema_) version_.schema.push_back({name, type});
    version_.parents = parents;
    return version_;
  }

 private:
  Status flush() {
    if (rows_ == 0) return {};
    STOA_TRY(packed, compress(text_));
    STOA_TRY(stored, blobs_.put(keys_, packed));
    version_.shards.push_back({stored.digest, rows_, static_cast<std::int64_t>(text_.size())});
    version_.bytes += static_cast<std::int64_t>(text_.size());
    text_.clear();
    rows_ = 0;
    return {};
  }

  governance::SealedBlobs& blobs_;
  const governance::ProjectKeys& keys_;
  const LakeLimits& limits_;
  DatasetVersion version_;
  std::map<std::string, std::string> schema_;
  std::string text_;
  std::int64_t rows_ = 0;
};

std::string manifest(const DatasetVersion& version) {
  JsonArray schema, shards;
  for (const auto& field : version.schema) schema.push_back(JsonObject{{"name", field.name}, {"type", field.type}});
  for (const auto& shard : version.shards) shards.push_back(JsonObject{{"digest", shard.digest}, {"rows", shard.rows}, {"bytes", shard.bytes}});
  return dump_json(JsonObject{{"format", kFormat}, {"rows", version.rows}, {"bytes", version.bytes}, {"schema", schema}, {"shards", shards},
                              {"parents", JsonArray(version.parents.begin(), version.parents.end())}});
}

Result<std::string> text_field(const Json& value, std::string_view key) {
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "a manifest entry is not an object");
  STOA_TRY(text, read_string(value.as_object(), key));
  if (!text) return fail(ErrorCode::kDataLoss, "a manifest has no '{}'", key);
  return *text;
}

Result<std::int64_t> count_field(const Json& value, std::string_view key) {
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "a manifest entry is not an object");
  STOA_TRY(count, read_int(value.as_object(), key, 0, INT64_MAX));
  if (!count) return fail(ErrorCode::kDataLoss, "a manifest has no '{}'", key);
  return *count;
}

Result<DatasetVersion> read_manifest(std::string_view text) {
  STOA_TRY(value, parse_json(text));
  STOA_TRY(format, text_field(value, "format"));
  if (format != kFormat) return fail(ErrorCode::kUnsupported, "dataset format '{}'", format);
  DatasetVersion version;
  STOA_TRY(rows, count_field(value, "rows"));
  STOA_TRY(bytes, count_field(value, "bytes"));
  version.rows = rows;
  version.bytes = bytes;
  const auto each = [&](std::string_view key, const std::function<Status(const Json&)>& take) -> Status {
    const Json* list = find(value.as_object(), key);
    if (list == nullptr || !list->is_array()) return fail(ErrorCode::kDataLoss, "a manifest has no '{}'", key);
    for (const auto& item : list->as_array()) STOA_CHECK(take(item));
    return {};
  };
  STOA_CHECK(each("schema", [&](const Json& item) -> Status {
    STOA_TRY(name, text_field(item, "name"));
    STOA_TRY(type, text_field(item, "type"));
    version.schema.push_back({name, type});
    return {};
  }));
  STOA_CHECK(each("shards", [&](const Json& item) -> Status {
    STOA_TRY(digest, text_field(item, "digest"));
    STOA_TRY(count, count_field(item, "rows"));
    STOA_TRY(size, count_field(item, "bytes"));
    version.shards.push_back({digest, count, size});
    return {};
  }));
  STOA_CHECK(each("parents", [&](const Json& item) -> Status {
    if (!item.is_string()) return fail(ErrorCode::kDataLoss, "a parent in a manifest is not text");
    version.parents.emplace_back(item.as_string());
    return {};
  }));
  return version;
}

Result<DatasetVersion> load(governance::SealedBlobs& blobs, const governance::ProjectKeys& keys, const SqlRow& row) {
  std::string id, name;
  int number = 0;
  Micros created = 0;
  STOA_CHECK(row.read(id, name, number, created));
  STOA_TRY(bytes, blobs.get(keys, id, kMaxManifest));
  auto version = read_manifest(as_text(bytes));
  if (!version) return fail(std::move(version).error().in("dataset " + id));
  version->id = id;
  version->name = name;
  version->number = number;
  version->created = created;
  return version;
}

// The manifest's blob and those of the shards.
std::vector<std::string> addresses(const governance::ProjectKeys& keys, const std::string& version, const std::vector<DatasetShard>& shards) {
  std::vector<std::string> out{governance::SealedBlobs::address_of(keys, version)};
  for (const auto& shard : shards) out.push_back(governance::SealedBlobs::address_of(keys, shard.digest));
  return out;
}

Status insert_blobs(infra::SqlTransaction& transaction, const governance::ProjectKeys& keys, const std::string& version, const std::vector<DatasetShard>& shards) {
  for (const auto& address : addresses(keys, version, shards))
    STOA_CHECK(transaction.execute("INSERT INTO dataset_blobs (address, project, version) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", {address, keys.project(), version}));
  return {};
}

// A blob equal to one of a deleted document may have been freed since it was stored.
Status all_here(infra::BlobStore& store, const governance::ProjectKeys& keys, const std::string& version, const std::vector<DatasetShard>& shards) {
  for (const auto& address : addresses(keys, version, shards)) {
    STOA_TRY(here, store.exists(address));
    if (!here) return fail(ErrorCode::kUnavailable, "a part of the dataset was removed while it was made: try again");
  }
  return {};
}

}  // namespace

Lake::Lake(infra::SqlDatabase& sql, governance::SealedBlobs& blobs, LakeLimits limits, const Clock& clock)
    : sql_(sql), blobs_(blobs), limits_(limits), clock_(clock) {}

Status Lake::open() {
  STOA_CHECK(sql_.migrate("data/lake", kMigrations));
  return note_blobs();
}

Result<bool> Lake::uses(infra::SqlSession& session, const std::string& address) {
  STOA_TRY(row, session.query_one("SELECT EXISTS (SELECT 1 FROM dataset_blobs WHERE address = ?)", {address}));
  return row->get<bool>(0);
}

governance::SealedTable Lake::sealed_table() { return {.blobs = "SELECT address FROM dataset_blobs WHERE project = ?"}; }

// For versions of an earlier release: their blobs are sealed and noted.
Status Lake::note_blobs() {
  STOA_TRY(rows, sql_.query("SELECT DISTINCT project, id FROM dataset_versions v WHERE NOT EXISTS "
                            "(SELECT 1 FROM dataset_blobs b WHERE b.project = v.project AND b.version = v.id)"));
  for (const auto& row : rows) {
    std::string project, version;
    STOA_CHECK(row.read(project, version));
    auto keys = blobs_.sealer().project(project);
    if (!keys && keys.error().code == ErrorCode::kPermissionDenied) continue;  // waits until the key is given back
    if (!keys) return fail(std::move(keys).error());
    STOA_CHECK(note_blobs(*keys, version));
  }
  return {};
}

Status Lake::note_blobs(const governance::ProjectKeys& keys, const std::string& version) {
  STOA_CHECK(blobs_.take_over(keys, version));
  STOA_TRY(bytes, blobs_.get(keys, version, kMaxManifest));
  auto found = read_manifest(as_text(bytes));
  if (!found) return fail(std::move(found).error().in("dataset " + version));
  for (const auto& shard : found->shards) STOA_CHECK(blobs_.take_over(keys, shard.digest));
  return sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(governance::note_plain_content(transaction));
    return insert_blobs(transaction, keys, version, found->shards);
  });
}

Result<DatasetVersion> Lake::create_version(const Call& call, const std::string& name, const RowSource& rows, const std::vector<std::string>& parents) {
  STOA_CHECK(check_name(name));
  if (call.principal.project.empty()) return fail(ErrorCode::kPermissionDenied, "a dataset needs a project");
  if (parents.size() > kMaxParents) return fail(ErrorCode::kInvalidArgument, "{} parents, more than {}", parents.size(), kMaxParents);
  std::vector<std::string> parent_ids;
  for (const auto& parent : parents) {
    STOA_TRY(found, version(call, parent));
    parent_ids.push_back(found.id);
  }
  STOA_TRY(keys, this->keys(call));
  Writer writer(blobs_, keys, limits_);
  while (true) {
    if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "the making of the dataset '{}' was cancelled", name);
    STOA_TRY(row, rows());
    if (!row) break;
    STOA_CHECK(writer.add(*row));
  }
  STOA_TRY(made, writer.finish(parent_ids));
  STOA_TRY(stored, blobs_.put(keys, as_bytes(manifest(made))));
  const std::string& id = stored.digest;
  STOA_CHECK(sql_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(latest, transaction.query_one("SELECT id, number FROM dataset_versions WHERE project = ? AND name = ? ORDER BY number DESC LIMIT 1", {call.principal.project, name}));
    std::string last;
    std::int64_t number = 0;
    if (latest) STOA_CHECK(latest->read(last, number));
    if (last == id) return {};
    STOA_CHECK(all_here(blobs_.store(), keys, id, made.shards));
    STOA_CHECK(insert_blobs(transaction, keys, id, made.shards));
    STOA_CHECK(transaction.execute("INSERT INTO dataset_versions (project, name, number, id, created) VALUES (?, ?, ?, ?, ?)",
                                   {call.principal.project, name, number + 1, id, clock_.now()}));
    return {};
  }));
  return version(call, name);
}

Result<std::vector<DatasetSummary>> Lake::list(const Call& call) {
  std::vector<DatasetSummary> names;
  STOA_CHECK(sql_.for_each("SELECT name, number, id, created FROM dataset_versions WHERE project = ? ORDER BY name, number", {call.principal.project},
                           [&](const SqlRow& row) -> Result<bool> {
                             DatasetSummary summary;
                             STOA_CHECK(row.read(summary.name, summary.versions, summary.latest, summary.created));
                             if (!names.empty() && names.back().name == summary.name) names.pop_back();
                             names.push_back(std::move(summary));
                             return true;
                           }));
  return names;
}

Result<std::vector<DatasetVersion>> Lake::versions(const Call& call, const std::string& name) {
  STOA_TRY(rows, sql_.query("SELECT id, name, number, created FROM dataset_versions WHERE project = ? AND name = ? ORDER BY number DESC", {call.principal.project, name}));
  if (rows.empty()) return fail(no_dataset(name));
  STOA_TRY(keys, this->keys(call));
  std::vector<DatasetVersion> result;
  for (const auto& row : rows) {
    STOA_TRY(found, load(blobs_, keys, row));
    result.push_back(std::move(found));
  }
  return result;
}

Result<DatasetVersion> Lake::version(const Call& call, const std::string& version) {
  std::string where = "name = ?";
  infra::SqlParams params{call.principal.project, version};
  if (infra::is_digest(version)) {
    where = "id = ?";
  } else if (const std::size_t at = version.rfind('@'); at != std::string::npos) {
    std::int64_t number = 0;
    const char* end = version.data() + version.size();
    const auto parsed = std::from_chars(version.data() + at + 1, end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end) return fail(no_dataset(version));
    where = "name = ? AND number = ?";
    params = {call.principal.project, version.substr(0, at), number};
  }
  STOA_TRY(row, sql_.query_one(fmt::format("SELECT id, name, number, created FROM dataset_versions WHERE project = ? AND {} ORDER BY number DESC LIMIT 1", where), params));
  if (!row) return fail(no_dataset(version));
  STOA_TRY(keys, this->keys(call));
  return load(blobs_, keys, *row);
}

Status Lake::read(const Call& call, const std::string& version, std::int64_t offset, std::int64_t limit, const RowVisitor& visit) {
  STOA_TRY(found, this->version(call, version));
  if (offset < 0 || limit < 0) return fail(ErrorCode::kInvalidArgument, "offset {} and limit {} must not be negative", offset, limit);
  STOA_TRY(keys, this->keys(call));
  std::int64_t skip = offset, left = limit;
  for (const auto& shard : found.shards) {
    if (left == 0) break;
    if (skip >= shard.rows) {
      skip -= shard.rows;
      continue;
    }
    STOA_TRY(packed, blobs_.get(keys, shard.digest, static_cast<std::uint64_t>(shard.bytes) + (1u << 20)));
    std::string carry;
    bool stopped = false;
    STOA_CHECK(decompress(packed, static_cast<std::uint64_t>(shard.bytes), [&](std::string_view piece) -> Result<bool> {
      while (!piece.empty() && left > 0) {
        const std::size_t end = piece.find('\n');
        carry += piece.substr(0, end);
        if (end == std::string_view::npos) return true;
        piece.remove_prefix(end + 1);
        const std::string row = std::exchange(carry, {});
        if (skip > 0) {
          --skip;
          continue;
        }
        --left;
        STOA_TRY(more, visit(row));
        stopped = !more;
        if (stopped) return false;
      }
      return left > 0;
    }));
    if (stopped) break;
  }
  return {};
}

}  // namespace stoa::data
