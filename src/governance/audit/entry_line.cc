#include "governance/audit/entry_line.h"

#include "base/json.h"

namespace stoa::governance {
namespace {

std::unexpected<Error> no_entry(std::string_view why) { return fail(ErrorCode::kInvalidArgument, "this is no line of an audit log: {}", why); }

}  // namespace

std::string audit_line(const AuditEntry& e) {
  return dump_json(JsonObject{{"sequence", e.sequence}, {"time", to_rfc3339(e.time)}, {"principal", e.principal}, {"tenant", e.tenant}, {"project", e.project},
                              {"action", e.action}, {"resource", e.resource}, {"outcome", outcome_name(e.outcome)}, {"reason", e.reason},
                              {"request_id", e.request_id}, {"trace_id", e.trace_id}, {"salt", e.salt}});
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
  if (audit_line(entry) != line) return no_entry("it is not written as the log writes it");
  return entry;
}

}  // namespace stoa::governance
