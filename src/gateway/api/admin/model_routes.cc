// Routes of the caller's project: names that answer as models, and what stands behind them.
#include "base/time.h"
#include "gateway/api/admin/routes.h"
#include "gateway/routing/canary.h"
#include "gateway/routing/route_store.h"
#include "gateway/routing/target_health.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

JsonArray targets_json(const std::vector<RouteTarget>& targets) {
  JsonArray out;
  for (const RouteTarget& target : targets) out.push_back(JsonObject{{"id", target.id()}, {"provider", target.provider}, {"model", target.model}, {"weight", target.weight}});
  return out;
}

JsonObject version_json(const RouteVersion& version, bool whole) {
  JsonObject out{{"object", "stoa.route"}, {"name", version.name}, {"version", version.version}, {"removed", version.removed}, {"digest", version.digest},
                 {"author", version.author}, {"comment", version.comment}, {"time", to_rfc3339(version.time)}};
  if (!whole) return out;
  out["text"] = version.text;
  if (const auto route = parse_route(version.text, version.name)) {
    out["description"] = route->description;
    out["targets"] = targets_json(route->targets);
    out["fallback"] = targets_json(route->fallback);
  }
  return out;
}

JsonObject versions_json(const std::vector<RouteVersion>& versions, bool whole) {
  JsonArray data;
  for (const auto& version : versions) data.push_back(version_json(version, whole));
  return {{"object", "list"}, {"data", std::move(data)}};
}

std::string name_of(const RequestScope& scope) { return std::string(scope.request().path_param("name")); }

Reply list(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(found, parts.model_routes->list(scope.call()));
  return ok_json(versions_json(found, true));
}

Reply show(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(version, query_int(scope.request(), "version", 1, INT64_MAX, 0));
  STOA_TRY(found, parts.model_routes->get(scope.call(), name_of(scope), version == 0 ? std::nullopt : std::optional(version)));
  return ok_json(version_json(found, true));
}

Reply history(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(found, parts.model_routes->history(scope.call(), name_of(scope)));
  return ok_json(versions_json(found, false));
}

// How the targets do, and what became of the canary.
Reply status(const AdminParts& parts, RequestScope& scope) {
  const std::string name = name_of(scope);
  STOA_TRY(version, parts.model_routes->get(scope.call(), name));
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

Reply set(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(text, body.text_or("text", ""));
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(expected, body.integer("expected_version", 0, INT64_MAX));
  STOA_TRY(stored, parts.model_routes->set(scope.call(), {.name = name_of(scope), .text = std::move(text), .comment = std::move(comment), .expected = expected}));
  return ok_json(version_json(stored, true));
}

Reply rollback(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(version, body.integer("version", 1, INT64_MAX));
  if (!version) return body.wrong("version", "the number of a version");
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(stored, parts.model_routes->rollback(scope.call(), name_of(scope), *version, std::move(comment)));
  return ok_json(version_json(stored, true));
}

Reply remove(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(stored, parts.model_routes->remove(scope.call(), name_of(scope), query_text(scope.request(), "comment")));
  return ok_json(version_json(stored, false));
}

}  // namespace

Status add_model_route_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.model_routes == nullptr) return {};
  Routes routes(router, parts, "route");
  const auto bound = [&parts](Reply (*handler)(const AdminParts&, RequestScope&)) { return [&parts, handler](RequestScope& scope) { return handler(parts, scope); }; };
  STOA_CHECK(routes.add("GET", "/v1/stoa/model-routes", Action::kModelList, bound(list)));
  STOA_CHECK(routes.add("GET", "/v1/stoa/model-routes/{name}", Action::kModelList, bound(show)));
  STOA_CHECK(routes.add("GET", "/v1/stoa/model-routes/{name}/history", Action::kModelList, bound(history)));
  STOA_CHECK(routes.add("GET", "/v1/stoa/model-routes/{name}/status", Action::kModelList, bound(status)));
  STOA_CHECK(routes.add("PUT", "/v1/stoa/model-routes/{name}", Action::kModelManage, bound(set)));
  STOA_CHECK(routes.add("POST", "/v1/stoa/model-routes/{name}/rollback", Action::kModelManage, bound(rollback)));
  return routes.add("DELETE", "/v1/stoa/model-routes/{name}", Action::kModelManage, bound(remove));
}

}  // namespace stoa::gateway::admin
