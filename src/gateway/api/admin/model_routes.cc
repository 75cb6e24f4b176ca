// Routes of the caller's project: names that answer as models, and what stands behind them.
#include "gateway/api/admin/text_routes.h"
#include "gateway/routing/canary.h"
#include "gateway/routing/route_store.h"
#include "gateway/routing/target_health.h"

namespace stoa::gateway::admin {
namespace {

JsonArray targets_json(const std::vector<RouteTarget>& targets) {
  JsonArray out;
  for (const RouteTarget& target : targets) out.push_back(JsonObject{{"id", target.id()}, {"provider", target.provider}, {"model", target.model}, {"weight", target.weight}});
  return out;
}

void describe(const governance::TextVersion& version, JsonObject& out) {
  const auto route = parse_route(version.text, version.name);
  if (!route) return;
  out["description"] = route->description;
  out["targets"] = targets_json(route->targets);
  out["fallback"] = targets_json(route->fallback);
}

// How the targets do, and what became of the canary.
Reply status(const AdminParts& parts, RequestScope& scope) {
  const std::string name = std::string(scope.request().path_param("name"));
  STOA_TRY(version, parts.model_routes->texts().get(scope.call(), name));
  STOA_TRY(route, parse_route(version.text, name));
  const auto now = std::chrono::steady_clock::now();
  JsonArray targets;
  const auto add = [&](const RouteTarget& target, std::string_view role) {
    const std::string id = target.id();
    const TargetState state = parts.target_health->state(target_key(scope.principal().project, target), now);
    targets.push_back(JsonObject{{"id", id}, {"role", role}, {"requests", state.requests}, {"failed", state.failed}, {"under_way", state.under_way}, {"left_alone", state.open},
                                 {"availability", state.availability}, {"first_piece_ms", state.first_micros / 1000}});
  };
  for (const RouteTarget& target : route.targets) add(target, "target");
  for (const RouteTarget& target : route.fallback) add(target, "fallback");
  if (route.mirror) add(route.mirror->target, "mirror");
  if (route.canary) add(route.canary->target, "canary");
  JsonObject out{{"object", "stoa.route_status"}, {"name", name}, {"version", version.version}, {"targets", std::move(targets)}};
  JsonArray decisions;
  STOA_TRY(history, parts.canaries->history(scope.principal().project, name));
  for (const CanaryDecision& each : history) {
    JsonObject item{{"version", each.version}, {"step", each.step + 1}, {"decision", each.decision}, {"reason", each.reason}, {"time", to_rfc3339(each.time)}};
    auto numbers = parse_json(each.numbers);
    item["numbers"] = numbers ? std::move(*numbers) : Json(nullptr);
    decisions.push_back(std::move(item));
  }
  out["canary"] = std::move(decisions);
  if (route.canary) {
    route.version = version.version;
    out["canary_percent"] = parts.canaries->percent(scope.principal(), name, route);
  }
  return ok_json(std::move(out));
}

}  // namespace

Status add_model_route_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.model_routes == nullptr) return {};
  Routes routes(router, parts, "route");
  STOA_CHECK(routes.add("GET", "/v1/stoa/model-routes/{name}/status", governance::Action::kModelList, [&parts](RequestScope& scope) { return status(parts, scope); }));
  return add_text_routes(router, parts, parts.model_routes->texts(), {.path = "/v1/stoa/model-routes", .object = "stoa.route", .describe = describe});
}

}  // namespace stoa::gateway::admin
