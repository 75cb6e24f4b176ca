#include "governance/audit/entry_line.h"

#include <algorithm>

#include "base/json.h"
#include "infra/journal/packing.h"

namespace stoa::governance {
namespace {

std::unexpected<Error> no_entry(std::string_view why) { return fail(ErrorCode::kInvalidArgument, "this is no line of an audit log: {}", why); }

constexpr std::int64_t kPackedForm = 1;

void add_more(const AuditEntry& e, JsonObject& out) {
  const std::pair<const char*, const std::string*> texts[] = {{"rule", &e.rule}, {"key", &e.key}, {"address", &e.address}, {"break_glass", &e.break_glass}};
  for (const auto& [name, text] : texts)
    if (!text->empty()) out[name] = *text;
  if (e.count != 0) out["count"] = e.count;
  if (e.documents.empty()) return;
  JsonArray documents;
  for (const auto& document : e.documents) documents.push_back(JsonObject{{"id", document.id}, {"version", document.version}, {"chunks", document.chunks}, {"readers", document.readers}});
  out["documents"] = std::move(documents);
}

Status read_more(const JsonObject& object, AuditEntry& e) {
  const std::pair<const char*, std::string*> texts[] = {{"rule", &e.rule}, {"key", &e.key}, {"address", &e.address}, {"break_glass", &e.break_glass}};
  for (const auto& [name, into] : texts) {
    STOA_TRY(text, read_string(object, name));
    *into = std::move(text).value_or("");
  }
  STOA_TRY(count, read_int(object, "count", 0, INT64_MAX));
  e.count = count.value_or(0);
  const Json* documents = find(object, "documents");
  if (documents == nullptr) return {};
  if (!documents->is_array() || documents->get_array().size() > AuditEntry::kMaxDocuments) return no_entry("its documents are no list");
  for (const Json& item : documents->get_array()) {
    if (!item.is_object()) return no_entry("its documents are no list of objects");
    STOA_TRY(id, read_string(item.get_object(), "id"));
    STOA_TRY(version, read_string(item.get_object(), "version"));
    STOA_TRY(chunks, read_int(item.get_object(), "chunks", 0, INT64_MAX));
    STOA_TRY(readers, read_string(item.get_object(), "readers"));
    e.documents.push_back({std::move(id).value_or(""), std::move(version).value_or(""), chunks.value_or(0), std::move(readers).value_or("")});
  }
  return {};
}

// Calls `text` and `number` for each member of the packed form, so that writing and reading cannot disagree.
template <class Entry, class Text, class Number>
void each_packed(Entry& e, const Text& text, const Number& number) {
  number(e.time);
  for (auto* member : {&e.principal, &e.tenant, &e.project, &e.action, &e.resource, &e.reason, &e.request_id, &e.trace_id, &e.rule, &e.key, &e.address, &e.break_glass}) text(*member);
  number(e.count);
}

}  // namespace

std::string audit_line(const AuditEntry& e) {
  JsonObject line{{"sequence", e.sequence}, {"time", to_rfc3339(e.time)}, {"principal", e.principal}, {"tenant", e.tenant}, {"project", e.project},
                  {"action", e.action}, {"resource", e.resource}, {"outcome", outcome_name(e.outcome)}, {"reason", e.reason},
                  {"request_id", e.request_id}, {"trace_id", e.trace_id}, {"salt", e.salt}};
  add_more(e, line);
  return dump_json(line);
}

Result<AuditEntry> parse_audit_line(std::string_view line) {
  STOA_TRY(json, parse_json(line));
  if (!json.is_object()) return no_entry("it is no object");
  const auto& object = json.get_object();
  AuditEntry entry;
  STOA_TRY(sequence, read_int(object, "sequence", 1, INT64_MAX));
  entry.sequence = sequence.value_or(0);
  std::string time, outcome;
  const std::pair<const char*, std::string*> texts[] = {{"time", &time}, {"principal", &entry.principal}, {"tenant", &entry.tenant}, {"project", &entry.project},
                                                        {"action", &entry.action}, {"resource", &entry.resource}, {"outcome", &outcome}, {"reason", &entry.reason},
                                                        {"request_id", &entry.request_id}, {"trace_id", &entry.trace_id}, {"salt", &entry.salt}};
  for (const auto& [name, into] : texts) {
    STOA_TRY(text, read_string(object, name));
    *into = std::move(text).value_or("");
  }
  STOA_TRY(micros, parse_rfc3339(time));
  entry.time = micros;
  STOA_TRY(known, parse_outcome(outcome));
  entry.outcome = known;
  STOA_CHECK(read_more(object, entry));
  if (audit_line(entry) != line) return no_entry("it is not written as the log writes it");
  return entry;
}

std::string audit_more(const AuditEntry& entry) {
  JsonObject more;
  add_more(entry, more);
  return more.empty() ? std::string() : dump_json(more);
}

Status parse_audit_more(std::string_view more, AuditEntry& entry) {
  if (more.empty()) return {};
  auto json = parse_json(more);
  if (json && json->is_object() && read_more(json->get_object(), entry) && audit_more(entry) == more) return {};
  return fail(ErrorCode::kDataLoss, "audit entry {} is not what was written", entry.sequence);
}

std::string pack_entry(const AuditEntry& entry) {
  infra::Packer packer;
  packer.add(kPackedForm).add(static_cast<std::int64_t>(entry.outcome));
  each_packed(entry, [&](const std::string& text) { packer.add(text); }, [&](std::int64_t number) { packer.add(number); });
  const std::size_t documents = std::min(entry.documents.size(), AuditEntry::kMaxDocuments);
  packer.add(static_cast<std::int64_t>(documents));
  for (std::size_t i = 0; i < documents; ++i) packer.add(entry.documents[i].id).add(entry.documents[i].version).add(entry.documents[i].chunks).add(entry.documents[i].readers);
  return packer.text();
}

Result<AuditEntry> unpack_entry(ByteSpan record) {
  infra::Unpacker unpacker(record);
  AuditEntry entry;
  std::int64_t form = 0, outcome = 0, documents = 0;
  unpacker.take(form).take(outcome);
  each_packed(entry, [&](std::string& text) { unpacker.take(text); }, [&](std::int64_t& number) { unpacker.take(number); });
  unpacker.take(documents);
  if (form != kPackedForm || outcome < 0 || outcome > static_cast<std::int64_t>(Outcome::kFailed) || documents < 0 || documents > static_cast<std::int64_t>(AuditEntry::kMaxDocuments))
    return fail(ErrorCode::kDataLoss, "a record of the journal is no audit entry");
  entry.outcome = static_cast<Outcome>(outcome);
  for (std::int64_t i = 0; i < documents && unpacker.good(); ++i) {
    auto& document = entry.documents.emplace_back();
    unpacker.take(document.id).take(document.version).take(document.chunks).take(document.readers);
  }
  STOA_CHECK(unpacker.finish("audit entry"));
  return entry;
}

}  // namespace stoa::governance
