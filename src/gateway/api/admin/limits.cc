// Limits of the caller's project, and how it stands with them.
#include "governance/limits/limits.h"

#include "gateway/api/admin/text_routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::LimitKind;

void describe(const governance::TextVersion& version, JsonObject& out) {
  const auto limits = governance::parse_limits(version.text, version.name, version.project.empty());
  if (!limits) return;
  out["description"] = limits->description;
  JsonArray rules;
  for (const auto& rule : limits->rules)
    for (std::size_t i = 0; i < governance::kLimitKinds; ++i)
      if (rule.amounts[i] > 0) rules.push_back(Json(governance::limit_text(rule, static_cast<LimitKind>(i))));
  out["limits"] = std::move(rules);
}

Reply standings(governance::Limits& limits, RequestScope& scope) {
  JsonArray data;
  for (const auto& standing : limits.standings(scope.principal().project))
    data.push_back(JsonObject{{"object", "stoa.limit_standing"}, {"limits", standing.limits}, {"rule", standing.rule}, {"who", standing.who}, {"text", standing.text},
                              {"unit", governance::limit_unit(standing.kind).name}, {"limit", standing.limit}, {"used", standing.used},
                              {"reset_seconds", static_cast<double>(standing.reset) / 1e6}});
  return ok_json(list_json(std::move(data)));
}

}  // namespace

Status add_limit_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.limits == nullptr) return {};
  STOA_CHECK(add_text_routes(router, parts, parts.limits->texts(), {.path = "/v1/stoa/limits", .object = "stoa.limits", .describe = describe}));
  Routes routes(router, parts, "limits");
  return routes.add("GET", "/v1/stoa/limit-standings", governance::Action::kUsageRead, [&parts](RequestScope& scope) { return standings(*parts.limits, scope); });
}

}  // namespace stoa::gateway::admin
