#include "governance/passport/passport.h"

#include <algorithm>

#include "governance/audit/entry_line.h"
#include "governance/passport/answer_record.h"
#include "infra/crypto/encoding.h"

namespace stoa::governance {
namespace {

constexpr std::string_view kFormat = "stoa-passport/1";
// Of entries that earlier releases made for records alone; their resource is "answer ID", their reason the digest.
constexpr std::string_view kRecordAction = "answer.record";
constexpr std::size_t kMaxText = 4u << 20, kMaxProof = 64;

std::unexpected<Error> no_passport(std::string_view why) { return fail(ErrorCode::kInvalidArgument, "this is no passport of an answer: {}", why); }

// The object `name`, whose members are those of `names` and in that order.
Result<const JsonObject*> object_of(const JsonObject& parent, std::string_view name) {
  const Json* value = find(parent, name);
  if (value == nullptr || !value->is_object()) return no_passport(fmt::format("it has no object '{}'", name));
  return &value->get_object();
}

Status check_members(const JsonObject& object, std::initializer_list<std::string_view> names) {
  if (std::ranges::equal(object, names, {}, [](const auto& member) { return std::string_view(member.key()); })) return {};
  return no_passport("its members are others, or in another order");
}

Result<std::string> text_of(const JsonObject& object, std::string_view name) {
  STOA_TRY(text, read_string(object, name));
  if (!text) return no_passport(fmt::format("'{}' is missing", name));
  return std::move(*text);
}

Result<std::vector<MerkleHash>> proof_of(const JsonObject& audit) {
  const Json* list = find(audit, "proof");
  if (list == nullptr || !list->is_array() || list->get_array().size() > kMaxProof) return no_passport("'proof' is no list of hashes");
  std::vector<MerkleHash> proof;
  for (const Json& item : list->get_array()) {
    const auto bytes = item.is_string() ? infra::from_hex(item.get_string()) : Result<Bytes>(Bytes{});
    if (!bytes || bytes->size() != sizeof(MerkleHash) || infra::to_hex(*bytes) != std::string_view(item.get_string())) return no_passport("'proof' has an item that is no hash");
    std::ranges::copy(*bytes, proof.emplace_back().begin());
  }
  return proof;
}

// That entry and record speak of the same answer. The digest binds them; this tells readers of either that the other agrees.
Status check_same(const JsonObject& record, const AuditEntry& entry) {
  STOA_TRY(id, text_of(record, "id"));
  STOA_TRY(asked, object_of(record, "asked_by"));
  const auto differs = [](std::string_view what) { return fail(ErrorCode::kDataLoss, "the record and its audit entry name different {}", what); };
  if (entry.action == kRecordAction ? entry.resource != "answer " + id : entry.answer != id) return differs("answers");
  const std::pair<std::string_view, const std::string*> callers[] = {{"principal", &entry.principal}, {"tenant", &entry.tenant}, {"project", &entry.project}};
  for (const auto& [name, value] : callers) {
    STOA_TRY(text, text_of(*asked, name));
    if (text != *value) return differs("callers");
  }
  return {};
}

}  // namespace

std::string recorded_digest(const AuditEntry& entry) { return entry.action == kRecordAction ? entry.reason : entry.record; }

JsonObject passport_json(std::string_view record_text, const AuditEntry& entry, const std::vector<MerkleHash>& proof, const std::string& checkpoint,
                         const CheckpointKey& key) {
  JsonArray hashes;
  for (const auto& hash : proof) hashes.push_back(Json(infra::to_hex(hash)));
  return {{"format", kFormat},
          {"record", parse_json(record_text).value_or(Json())},
          {"audit", JsonObject{{"entry", parse_json(audit_line(entry)).value_or(Json())}, {"proof", std::move(hashes)}, {"checkpoint", checkpoint}}},
          {"key", key.text()}};
}

Result<PassportCheck> verify_passport(std::string_view text, const CheckpointKey& key) {
  auto json = parse_json(text, {.max_bytes = kMaxText, .max_depth = 16});
  if (!json) return no_passport(json.error().message);
  if (!json->is_object()) return no_passport("it is no object");
  auto& passport = json->get_object();
  STOA_CHECK(check_members(passport, {"format", "record", "audit", "key"}));
  STOA_TRY(format, text_of(passport, "format"));
  if (format != kFormat) return no_passport(fmt::format("its format is '{}', and this program reads {}", format.substr(0, 40), kFormat));
  STOA_TRY(key_text, text_of(passport, "key"));
  if (key_text != key.text()) return fail(error(ErrorCode::kDataLoss, "it was signed with the key {}, not with the one it is checked with", key_text.substr(0, 100)));
  STOA_TRY(record, object_of(passport, "record"));
  STOA_TRY(audit, object_of(passport, "audit"));
  STOA_CHECK(check_members(*audit, {"entry", "proof", "checkpoint"}));
  STOA_TRY(entry_json, object_of(*audit, "entry"));
  const std::string line = dump_json(*entry_json);
  auto entry = parse_audit_line(line);
  if (!entry) return fail(ErrorCode::kDataLoss, "its audit entry was changed: {}", entry.error().message);
  if (record_digest(dump_json(*record)) != recorded_digest(*entry)) return fail(ErrorCode::kDataLoss, "the record was changed: its digest is not the one in the audit log");
  STOA_CHECK(check_same(*record, *entry));
  STOA_TRY(proof, proof_of(*audit));
  STOA_TRY(note, text_of(*audit, "checkpoint"));
  STOA_TRY(checkpoint, open_checkpoint(note, key));
  if (!proves_inclusion(merkle_leaf(as_bytes(line)), entry->sequence - 1, checkpoint.size, proof, checkpoint.root))
    return fail(ErrorCode::kDataLoss, "its audit entry {} is not in the signed log: entry or proof was changed", entry->sequence);
  return PassportCheck{std::move(passport["record"].get_object()), std::move(*entry), std::move(checkpoint)};
}

}  // namespace stoa::governance
