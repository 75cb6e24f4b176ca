// The key of the caller's project: looked at, replaced, taken away and given back.
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

JsonObject status_json(const governance::ProjectKeyStatus& status) {
  JsonArray versions;
  for (const auto& key : status.versions)
    versions.push_back(JsonObject{{"version", key.version},
                                  {"purpose", key.version == 0 ? "look-up" : "data"},
                                  {"provider", key.provider},
                                  {"master", key.master},
                                  {"created", to_rfc3339(key.created)},
                                  {"retired", time_json(key.retired)}});
  return {{"object", "stoa.project_key"},
          {"project", status.project},
          {"state", governance::state_name(status.state)},
          {"current", status.current},
          {"changed", to_rfc3339(status.changed)},
          {"keep", status.keep.empty() ? std::string("default") : status.keep},
          {"versions", std::move(versions)}};
}

using Change = Status (*)(const AdminParts& parts, RequestScope& scope, const governance::Permit& permit);

// Makes the change, if there is one, and answers with the key as it is then.
ApiHandler handler(const AdminParts& parts, Change change) {
  return [&parts, change](RequestScope& scope) -> Reply {
    STOA_TRY(permit, permit_for(scope, Action::kProtectionManage, "project key"));
    if (change != nullptr) STOA_CHECK(change(parts, scope, permit));
    STOA_TRY(status, parts.protection.project(permit));
    return ok_json(status_json(status));
  };
}

Status rotate(const AdminParts& parts, RequestScope& scope, const governance::Permit& permit) { return parts.protection.rotate(scope.call(), permit); }

Status revoke(const AdminParts& parts, RequestScope& scope, const governance::Permit& permit) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(destroy, read_bool(body, "destroy"));
  return parts.protection.revoke(scope.call(), permit, destroy.value_or(false));
}

Status keep(const AdminParts& parts, RequestScope& scope, const governance::Permit& permit) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(name, Fields(body).text_or("keep", ""));
  if (name == "default") return parts.protection.set_keep(scope.call(), permit, {});
  STOA_TRY(wanted, governance::parse_keep(name));
  return parts.protection.set_keep(scope.call(), permit, wanted);
}

Status restore(const AdminParts& parts, RequestScope& scope, const governance::Permit& permit) { return parts.protection.restore(scope.call(), permit); }

}  // namespace

Status add_protection_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "project key");
  STOA_CHECK(routes.add("GET", "/v1/stoa/protection", Action::kProtectionManage, handler(parts, nullptr)));
  STOA_CHECK(routes.add("POST", "/v1/stoa/protection/rotate", Action::kProtectionManage, handler(parts, rotate)));
  STOA_CHECK(routes.add("POST", "/v1/stoa/protection/revoke", Action::kProtectionManage, handler(parts, revoke)));
  STOA_CHECK(routes.add("POST", "/v1/stoa/protection/keep", Action::kProtectionManage, handler(parts, keep)));
  return routes.add("POST", "/v1/stoa/protection/restore", Action::kProtectionManage, handler(parts, restore));
}

}  // namespace stoa::gateway::admin
