#include "governance/audit/export.h"

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "governance/audit/entry_line.h"
#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

constexpr std::string_view kFormat = "stoa-audit/2", kOlderFormat = "stoa-audit/1";  // whose entries end with the salt
constexpr std::string_view kLeafBegin = R"({"leaf":")", kEntryBegin = R"(","entry":)";
constexpr std::size_t kHex = 64, kMaxLine = 1 << 20, kMaxProof = 128;

JsonArray hex_list(const std::vector<MerkleHash>& hashes) {
  JsonArray out;
  for (const auto& hash : hashes) out.push_back(Json(infra::to_hex(hash)));
  return out;
}

Result<MerkleHash> hash_of_hex(std::string_view hex) {
  STOA_TRY(bytes, infra::from_hex(hex));
  MerkleHash hash;
  if (bytes.size() != hash.size()) return fail(ErrorCode::kInvalidArgument, "a hash has {} digits instead of {}", hex.size(), kHex);
  std::ranges::copy(bytes, hash.begin());
  if (infra::to_hex(hash) != hex) return fail(ErrorCode::kInvalidArgument, "a hash is written in lower case");
  return hash;
}

Result<std::vector<MerkleHash>> hashes_of(const JsonObject& object, std::string_view name) {
  const Json* list = find(object, name);
  if (list == nullptr || !list->is_array() || list->get_array().size() > kMaxProof) return fail(ErrorCode::kInvalidArgument, "'{}' is no list of hashes", name);
  std::vector<MerkleHash> out;
  for (const Json& item : list->get_array()) {
    if (!item.is_string()) return fail(ErrorCode::kInvalidArgument, "'{}' is no list of hashes", name);
    STOA_TRY(hash, hash_of_hex(item.get_string()));
    out.push_back(hash);
  }
  return out;
}

// Reads an export line by line.
class Reader {
 public:
  explicit Reader(const CheckpointKey& key) : key_(key) {}

  Status take(std::string_view line) {
    ++number_;
    auto done = read(line);
    if (done) return {};
    const auto where = tree_ ? fmt::format("line {} (entry {})", number_, tree_->size() + 1) : fmt::format("line {}", number_);
    return fail(std::move(done.error()).in(where));
  }

  Result<ExportCheck> finish() {
    if (!tree_) return fail(ErrorCode::kInvalidArgument, "this is no export of an audit log: it is empty");
    if (!checkpoint_) return fail(ErrorCode::kDataLoss, "the export ends without a checkpoint: its end is missing");
    if (covered_ != tree_->size()) return fail(ErrorCode::kDataLoss, "the last checkpoint covers entry {}, but entry {} follows: the export's end is missing", covered_, tree_->size());
    check_.checkpoint = *checkpoint_;
    return check_;
  }

 private:
  Status read(std::string_view line) {
    if (!tree_) return header(line);
    if (line.starts_with(kLeafBegin)) return leaf(line);
    const auto json = parse_json(line);
    if (!json || !json->is_object() || dump_json(*json) != line) return fail(ErrorCode::kDataLoss, "is no line of an export");
    const auto& object = json->get_object();
    if (find(object, "format") != nullptr) return next_part(object);
    return checkpoint(object);
  }

  Status header(std::string_view line) {
    const auto other = [] { return fail(ErrorCode::kInvalidArgument, "this is no export of an audit log: `stoa audit export` makes one"); };
    const auto json = parse_json(line);
    if (!json || !json->is_object() || dump_json(*json) != line) return other();
    const auto& object = json->get_object();
    STOA_TRY(format, read_string(object, "format"));
    if (format != kFormat && format != kOlderFormat) return other();
    STOA_TRY(after, read_int(object, "after", 0, INT64_MAX));
    STOA_TRY(complete, hashes_of(object, "subtrees"));
    STOA_TRY(tree, MerkleFrontier::of(after.value_or(-1), std::move(complete)));
    tree_ = std::move(tree);
    return {};
  }

  // The header of an export that was put behind another.
  Status next_part(const JsonObject& object) {
    STOA_TRY(after, read_int(object, "after", 0, INT64_MAX));
    if (after == tree_->size()) return {};
    return fail(ErrorCode::kDataLoss, "entries {} to {} are missing", tree_->size() + 1, after.value_or(0));
  }

  Status leaf(std::string_view line) {
    const auto hex = line.substr(kLeafBegin.size(), kHex);
    const auto hash = hash_of_hex(hex);
    if (!hash) return fail(ErrorCode::kDataLoss, "its hash is no hash");
    const auto rest = line.substr(kLeafBegin.size() + kHex);
    const std::int64_t sequence = tree_->size() + 1;
    if (rest.starts_with(kEntryBegin) && rest.ends_with('}')) {
      const auto text = rest.substr(kEntryBegin.size(), rest.size() - kEntryBegin.size() - 1);
      if (merkle_leaf(as_bytes(text)) != *hash) return fail(ErrorCode::kDataLoss, "the entry is not what was written: its hash is another");
      const auto entry = parse_audit_line(text);
      if (!entry) return fail(ErrorCode::kDataLoss, "{}", entry.error().message);
      if (entry->sequence != sequence) return fail(ErrorCode::kDataLoss, "the entry is number {}, so others are missing or were added", entry->sequence);
      ++check_.entries;
    } else if (rest != fmt::format("\",\"sequence\":{}}}", sequence)) {
      return fail(ErrorCode::kDataLoss, "is not the line of entry {}", sequence);
    }
    tree_->add(*hash);
    if (check_.first == 0) check_.first = sequence;
    check_.last = sequence;
    return {};
  }

  Status checkpoint(const JsonObject& object) {
    STOA_TRY(note, read_string(object, "checkpoint"));
    if (!note) return fail(ErrorCode::kDataLoss, "is no line of an export");
    STOA_TRY(opened, open_checkpoint(*note, key_));
    STOA_TRY(proof, hashes_of(object, "proof"));
    if (!proves_consistency(tree_->size(), tree_->root(), opened.size, opened.root, proof))
      return fail(ErrorCode::kDataLoss, "what was signed is not what stands above: entries {} to {} were changed together with their hashes", covered_ + 1, tree_->size());
    covered_ = tree_->size();
    checkpoint_ = opened;
    return {};
  }

  const CheckpointKey& key_;
  std::int64_t number_ = 0, covered_ = 0;
  std::optional<MerkleFrontier> tree_;
  std::optional<Checkpoint> checkpoint_;
  ExportCheck check_;
};

}  // namespace

Result<std::int64_t> export_audit(AuditLog& log, const std::string& checkpoint, std::int64_t checkpoint_size, std::int64_t after, std::int64_t limit,
                                  const std::string& tenant, const LineSink& sink) {
  STOA_TRY(before, log.subtrees(after));
  STOA_CHECK(sink(dump_json(JsonObject{{"format", kFormat}, {"after", after}, {"subtrees", hex_list(before)}})));
  const std::int64_t until = std::max(after, std::min(checkpoint_size, after > INT64_MAX - limit ? INT64_MAX : after + limit));
  std::int64_t last = after;
  STOA_CHECK(log.for_each(after, until, [&](const AuditEntry& entry, const MerkleHash& leaf) -> Status {
    last = entry.sequence;
    const std::string hex = infra::to_hex(leaf);
    if (tenant.empty() || entry.tenant == tenant) return sink(fmt::format("{}{}{}{}}}", kLeafBegin, hex, kEntryBegin, audit_line(entry)));
    return sink(fmt::format("{}{}\",\"sequence\":{}}}", kLeafBegin, hex, entry.sequence));
  }));
  STOA_TRY(proof, log.prove_prefix(last, checkpoint_size));
  STOA_CHECK(sink(dump_json(JsonObject{{"checkpoint", checkpoint}, {"proof", hex_list(proof)}})));
  return last;
}

Result<ExportCheck> verify_export(std::istream& lines, const CheckpointKey& key) {
  Reader reader(key);
  for (std::string line; std::getline(lines, line);) {
    if (line.size() > kMaxLine) return fail(ErrorCode::kInvalidArgument, "a line has {} bytes; those of an export have at most {}", line.size(), kMaxLine);
    STOA_CHECK(reader.take(line));
  }
  return reader.finish();
}

std::string audit_ocsf(const AuditEntry& e, std::string_view product_version) {
  constexpr int kCategory = 6, kClass = 6003;  // application activity; API activity
  // create, read, update, delete, else other
  const auto ends = [&](std::string_view word) { return e.action.ends_with(word); };
  const int activity = ends("create") || ends("write") || ends("issue") ? 1 : ends("read") || ends("use") || ends("list") ? 2 : ends("set") || ends("manage") ? 3
                     : ends("delete") || ends("revoke") ? 4 : 99;
  const bool allowed = e.outcome == Outcome::kAllowed;
  JsonObject event{{"category_uid", kCategory}, {"class_uid", kClass}, {"activity_id", activity}, {"type_uid", kClass * 100 + activity}, {"time", e.time / 1000},
                   {"severity_id", allowed ? 1 : 2}, {"status_id", allowed ? 1 : 2}, {"status_detail", e.reason},
                   {"actor", JsonObject{{"user", JsonObject{{"uid", e.principal}, {"org", JsonObject{{"uid", e.tenant}}}}}}},
                   {"api", JsonObject{{"operation", e.action}, {"request", JsonObject{{"uid", e.request_id}}}}},
                   {"resources", JsonArray{JsonObject{{"name", e.resource}, {"group", JsonObject{{"uid", e.project}}}}}},
                   {"metadata", JsonObject{{"version", "1.3.0"}, {"uid", std::to_string(e.sequence)}, {"correlation_uid", e.trace_id},
                                           {"product", JsonObject{{"name", "Stoa"}, {"vendor_name", "Stoa"}, {"version", product_version}}}}}};
  if (e.outcome == Outcome::kDenied) event["disposition_id"] = 2;  // blocked
  return dump_json(event);
}

}  // namespace stoa::governance
