#include "governance/audit/entry_line.h"

#include <algorithm>

#include "base/json.h"
#include "base/json_writer.h"
#include "infra/journal/packing.h"

namespace stoa::governance {
namespace {

std::unexpected<Error> no_entry(std::string_view why) { return fail(ErrorCode::kInvalidArgument, "this is no line of an audit log: {}", why); }

constexpr std::int64_t kPackedForm = 3, kFormWithoutSearches = 2, kFormWithoutAnswers = 1;

// The members that are written only where they say something.
template <class Entry, class Text>
void each_more(Entry& e, const Text& text) {
  text("rule", e.rule);
  text("key", e.key);
  text("address", e.address);
  text("break_glass", e.break_glass);
  text("answer", e.answer);
  text("record", e.record);
  text("query", e.query);
  text("mode", e.mode);
}

void write_more(const AuditEntry& e, JsonWriter& out) {
  each_more(e, [&](std::string_view name, const std::string& text) {
    if (!text.empty()) out.member(name, text);
  });
  if (e.count != 0) out.member("count", e.count);
  if (!e.documents.empty()) {
    out.key("documents").array();
    for (const auto& document : e.documents)
      out.object().member("id", document.id).member("version", document.version).member("chunks", document.chunks).member("readers", document.readers).end_object();
    out.end_array();
  }
  if (e.collections.empty()) return;
  out.key("collections").array();
  for (const auto& collection : e.collections) out.text(collection);
  out.end_array();
}

Status read_documents(const Json& documents, AuditEntry& e) {
  if (!documents.is_array() || documents.get_array().size() > AuditEntry::kMaxDocuments) return no_entry("its documents are no list");
  for (const Json& item : documents.get_array()) {
    if (!item.is_object()) return no_entry("its documents are no list of objects");
    STOA_TRY(id, read_string(item.get_object(), "id"));
    STOA_TRY(version, read_string(item.get_object(), "version"));
    STOA_TRY(chunks, read_int(item.get_object(), "chunks", 0, INT64_MAX));
    STOA_TRY(readers, read_string(item.get_object(), "readers"));
    e.documents.push_back({std::move(id).value_or(""), std::move(version).value_or(""), chunks.value_or(0), std::move(readers).value_or("")});
  }
  return {};
}

Status read_collections(const Json& collections, AuditEntry& e) {
  if (!collections.is_array() || collections.get_array().size() > AuditEntry::kMaxCollections) return no_entry("its collections are no list");
  for (const Json& item : collections.get_array()) {
    if (!item.is_string()) return no_entry("its collections are no list of names");
    e.collections.emplace_back(item.get_string());
  }
  return {};
}

Status read_more(const JsonObject& object, AuditEntry& e) {
  Status read;
  each_more(e, [&](std::string_view name, std::string& into) {
    auto text = read_string(object, name);
    if (text) into = std::move(*text).value_or("");
    else read = std::unexpected(std::move(text).error());
  });
  STOA_CHECK(read);
  STOA_TRY(count, read_int(object, "count", 0, INT64_MAX));
  e.count = count.value_or(0);
  if (const Json* documents = find(object, "documents")) STOA_CHECK(read_documents(*documents, e));
  if (const Json* collections = find(object, "collections")) STOA_CHECK(read_collections(*collections, e));
  return {};
}

// Calls `text` and `number` for each member of the packed form, so that writing and reading cannot disagree.
template <class Entry, class Text, class Number>
void each_packed(Entry& e, const Text& text, const Number& number) {
  number(e.time);
  for (auto* member : {&e.principal, &e.tenant, &e.project, &e.action, &e.resource, &e.reason, &e.request_id, &e.trace_id, &e.rule, &e.key, &e.address, &e.break_glass}) text(*member);
  number(e.count);
}
template <class Entry, class Text>
void each_packed_later(Entry& e, const Text& text) {
  text(e.answer);
  text(e.record);
}
template <class Entry, class Text>
void each_packed_of_search(Entry& e, const Text& text) {
  text(e.query);
  text(e.mode);
}

}  // namespace

// Written without making values of JSON first: every entry is.
std::string audit_line(const AuditEntry& e) {
  constexpr std::size_t kUsual = 768;
  std::string line;
  line.reserve(kUsual);
  JsonWriter out(line);
  out.object().member("sequence", e.sequence).member("time", to_rfc3339(e.time)).member("principal", e.principal).member("tenant", e.tenant).member("project", e.project);
  out.member("action", e.action).member("resource", e.resource).member("outcome", outcome_name(e.outcome)).member("reason", e.reason);
  out.member("request_id", e.request_id).member("trace_id", e.trace_id).member("salt", e.salt);
  write_more(e, out);
  out.end_object();
  return line;
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
  std::string more;
  JsonWriter out(more);
  out.object();
  write_more(entry, out);
  out.end_object();
  return more == "{}" ? std::string() : more;
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
  const auto add = [&](const std::string& text) { packer.add(text); };
  each_packed(entry, add, [&](std::int64_t number) { packer.add(number); });
  const std::size_t documents = std::min(entry.documents.size(), AuditEntry::kMaxDocuments);
  packer.add(static_cast<std::int64_t>(documents));
  for (std::size_t i = 0; i < documents; ++i) packer.add(entry.documents[i].id).add(entry.documents[i].version).add(entry.documents[i].chunks).add(entry.documents[i].readers);
  each_packed_later(entry, add);
  each_packed_of_search(entry, add);
  const std::size_t collections = std::min(entry.collections.size(), AuditEntry::kMaxCollections);
  packer.add(static_cast<std::int64_t>(collections));
  for (std::size_t i = 0; i < collections; ++i) packer.add(entry.collections[i]);
  return packer.text();
}

Result<AuditEntry> unpack_entry(ByteSpan record) {
  infra::Unpacker unpacker(record);
  AuditEntry entry;
  std::int64_t form = 0, outcome = 0, documents = 0;
  unpacker.take(form).take(outcome);
  const auto take = [&](std::string& text) { unpacker.take(text); };
  each_packed(entry, take, [&](std::int64_t& number) { unpacker.take(number); });
  unpacker.take(documents);
  if (form < kFormWithoutAnswers || form > kPackedForm || outcome < 0 || outcome > static_cast<std::int64_t>(Outcome::kFailed) || documents < 0 || documents > static_cast<std::int64_t>(AuditEntry::kMaxDocuments))
    return fail(ErrorCode::kDataLoss, "a record of the journal is no audit entry");
  entry.outcome = static_cast<Outcome>(outcome);
  for (std::int64_t i = 0; i < documents && unpacker.good(); ++i) {
    auto& document = entry.documents.emplace_back();
    unpacker.take(document.id).take(document.version).take(document.chunks).take(document.readers);
  }
  if (form >= kFormWithoutSearches) each_packed_later(entry, take);
  if (form >= kPackedForm) {
    each_packed_of_search(entry, take);
    std::int64_t collections = 0;
    unpacker.take(collections);
    if (collections < 0 || collections > static_cast<std::int64_t>(AuditEntry::kMaxCollections)) return fail(ErrorCode::kDataLoss, "a record of the journal is no audit entry");
    for (std::int64_t i = 0; i < collections && unpacker.good(); ++i) unpacker.take(entry.collections.emplace_back());
  }
  STOA_CHECK(unpacker.finish("audit entry"));
  return entry;
}

}  // namespace stoa::governance
