#include "gateway/api/admin/policy_json.h"

#include "base/time.h"
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

JsonObject report_json(const governance::PolicyTestReport& report) {
  JsonArray failures;
  for (const auto& failure : report.failures) failures.push_back(JsonObject{{"where", failure.where}, {"test", failure.test}, {"message", failure.message}});
  return {{"run", report.run}, {"failures", std::move(failures)}};
}

JsonObject change_json(const governance::ChangedDecision& change) {
  using enum governance::Attribute;
  const auto& record = change.record;
  const auto side = [](bool allowed, const std::string& rule, const std::string& reason) {
    return JsonObject{{"decision", allowed ? "permit" : "deny"}, {"rule", rule}, {"reason", reason}};
  };
  return {{"principal", record.text(kPrincipalId)},   {"user", record.text(kPrincipalUser)}, {"role", record.text(kPrincipalRole)}, {"action", governance::action_name(record.action)},
          {"kind", record.text(kResourceKind)},       {"name", record.text(kResourceName)},  {"count", record.count},               {"last", to_rfc3339(record.last)},
          {"from", side(change.now, change.now_rule, change.now_reason)}, {"to", side(change.then, change.then_rule, change.then_reason)}};
}

}  // namespace

JsonObject policy_json(const governance::PolicyVersion& version, bool text) {
  JsonObject out{{"object", "stoa.policy"}, {"scope", version.tenant.empty() ? "installation" : "tenant"}};
  if (version.source.empty()) {
    out["name"] = version.name;
    out["version"] = version.version;
    out["author"] = version.author;
    out["comment"] = version.comment;
    out["time"] = to_rfc3339(version.time);
    out["removed"] = version.removed;
  } else {
    out["file"] = version.source;
  }
  out["digest"] = version.digest;
  if (text) out["text"] = version.text;
  return out;
}

JsonObject policies_json(const std::vector<governance::PolicyVersion>& versions) {
  JsonArray items;
  for (const auto& version : versions) items.push_back(policy_json(version, false));
  return list_json(std::move(items));
}

JsonObject rule_changes_json(const std::vector<governance::RuleChange>& changes) {
  JsonArray items;
  for (const auto& change : changes)
    items.push_back(JsonObject{{"change", change.before.empty() ? "added" : change.after.empty() ? "removed" : "changed"}, {"kind", change.kind}, {"name", change.name},
                               {"before", change.before}, {"after", change.after}});
  return list_json(std::move(items));
}

JsonObject dry_run_json(const governance::DryRun& run) {
  JsonArray changes;
  for (const auto& change : run.changes) changes.push_back(change_json(change));
  return {{"object", "stoa.policy_dry_run"}, {"decisions", run.decisions}, {"requests", run.requests}, {"changed", run.changed}, {"changes", std::move(changes)},
          {"tests", report_json(run.tests)}};
}

}  // namespace stoa::gateway::admin
