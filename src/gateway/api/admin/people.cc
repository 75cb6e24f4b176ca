// Who the caller is, how people sign in, and the projects, users and groups of the caller's tenant.
#include "gateway/api/admin/routes.h"

#include <map>

#include "governance/identity/delegated_tokens.h"
#include "governance/identity/oidc.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::size_t kMaxGroups = 256;

JsonArray texts_json(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

JsonObject project_json(const governance::Project& project) {
  return {{"id", project.id}, {"object", "stoa.project"}, {"name", project.name}, {"created", to_rfc3339(project.created)}};
}

JsonObject user_json(const governance::User& user) {
  return {{"id", user.id}, {"object", "stoa.user"}, {"name", user.name}, {"groups", texts_json(user.groups)}, {"disabled", user.disabled}, {"created", to_rfc3339(user.created)}};
}

Reply whoami(const AdminParts& parts, RequestScope& scope) {
  const Principal& who = scope.principal();
  STOA_TRY(place, parts.identity.place(scope.call()));
  JsonArray grants;
  for (const auto& grant : who.grants) grants.push_back(Json(governance::grant_text(grant)));
  return ok_json({{"object", "stoa.principal"}, {"principal", who.id}, {"user", who.user}, {"tenant", who.tenant}, {"tenant_name", place.tenant.name}, {"project", who.project},
                  {"project_name", place.project.name}, {"role", who.role}, {"groups", texts_json(who.groups)}, {"scopes", texts_json(who.scopes)}, {"grants", std::move(grants)},
                  {"key", who.key}, {"on_behalf", who.on_behalf}, {"elevation", who.elevation}, {"method", who.method}, {"expires", who.expires == 0 ? Json(nullptr) : Json(to_rfc3339(who.expires))}});
}

// For people who have no key yet: only what a browser needs to sign in, which every client of the provider knows.
infra::HttpResponse sign_in(const governance::OidcUsers* oidc) {
  JsonArray providers;
  const auto known = oidc == nullptr ? nullptr : oidc->providers();
  if (known != nullptr)
    for (const auto& provider : *known)
      providers.push_back(JsonObject{{"name", provider.name}, {"issuer", provider.issuer}, {"client_id", provider.client_id}, {"scopes", provider.login_scopes}, {"resource", provider.resource}});
  return infra::HttpResponse::json(200, dump_json(JsonObject{{"object", "stoa.login"}, {"providers", std::move(providers)}}));
}

Reply list_projects(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(projects, parts.identity.projects(scope.call()));
  JsonArray items;
  for (const auto& project : projects) items.push_back(project_json(project));
  return ok_json(list_json(std::move(items)));
}

Reply create_project(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(name, Fields(object).required_text("name"));
  STOA_TRY(project, parts.identity.create_project(scope.call(), name));
  return infra::HttpResponse::json(201, dump_json(project_json(project)));
}

Reply list_users(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(users, parts.identity.users(scope.call()));
  JsonArray items;
  for (const auto& user : users) items.push_back(user_json(user));
  return ok_json(list_json(std::move(items)));
}

Reply create_user(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(name, body.required_text("name"));
  STOA_TRY(groups, body.texts("groups", kMaxGroups));
  STOA_TRY(user, parts.identity.create_user(scope.call(), name, std::move(groups)));
  return infra::HttpResponse::json(201, dump_json(user_json(user)));
}

Reply set_disabled(const AdminParts& parts, RequestScope& scope, bool disabled) {
  const std::string name(scope.request().path_param("name"));
  STOA_CHECK(parts.identity.disable_user(scope.call(), name, disabled));
  return ok_json({{"name", name}, {"disabled", disabled}});
}

// The groups that users are in; a group is where a user is in it.
Reply list_groups(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(users, parts.identity.users(scope.call()));
  std::map<std::string, JsonArray> members;
  for (const auto& user : users)
    for (const auto& group : user.groups) members[group].push_back(Json(user.name));
  JsonArray items;
  for (auto& [name, names] : members) items.push_back(JsonObject{{"object", "stoa.group"}, {"name", name}, {"users", std::move(names)}});
  return ok_json(list_json(std::move(items)));
}

Reply add_member(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(user, Fields(object).required_text("user"));
  STOA_TRY(changed, parts.identity.change_group(scope.call(), scope.request().path_param("group"), user, true));
  return ok_json(user_json(changed));
}

Reply remove_member(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(changed, parts.identity.change_group(scope.call(), scope.request().path_param("group"), scope.request().path_param("user"), false));
  return ok_json(user_json(changed));
}

}  // namespace

Status add_people_routes(infra::Router& router, const AdminParts& parts) {
  STOA_CHECK(add_public_route(router, "GET", "/v1/stoa/login", "says where people sign in who have no key yet", [&parts](const infra::HttpRequest&, infra::Responder& responder) { responder.send(sign_in(parts.oidc)); }));
  Routes system(router, parts, "principal");
  STOA_CHECK(system.add("GET", "/v1/stoa/whoami", Action::kSystemRead, [&parts](RequestScope& scope) { return whoami(parts, scope); }));
  Routes projects(router, parts, "project");
  STOA_CHECK(projects.add("GET", "/v1/stoa/projects", Action::kSystemRead, [&parts](RequestScope& scope) { return list_projects(parts, scope); }));
  STOA_CHECK(projects.add("POST", "/v1/stoa/projects", Action::kProjectManage, [&parts](RequestScope& scope) { return create_project(parts, scope); }));
  Routes users(router, parts, "user");
  const auto add = [&](Routes& routes, const char* method, const char* path, Reply (*handler)(const AdminParts&, RequestScope&)) {
    return routes.add(method, path, Action::kUserManage, [&parts, handler](RequestScope& scope) { return handler(parts, scope); });
  };
  STOA_CHECK(add(users, "GET", "/v1/stoa/users", list_users));
  STOA_CHECK(add(users, "POST", "/v1/stoa/users", create_user));
  STOA_CHECK(add(users, "POST", "/v1/stoa/users/{name}/disable", [](const AdminParts& p, RequestScope& scope) { return set_disabled(p, scope, true); }));
  STOA_CHECK(add(users, "POST", "/v1/stoa/users/{name}/enable", [](const AdminParts& p, RequestScope& scope) { return set_disabled(p, scope, false); }));
  Routes groups(router, parts, "group");
  STOA_CHECK(add(groups, "GET", "/v1/stoa/groups", list_groups));
  STOA_CHECK(add(groups, "POST", "/v1/stoa/groups/{group}/users", add_member));
  return add(groups, "DELETE", "/v1/stoa/groups/{group}/users/{user}", remove_member);
}

}  // namespace stoa::gateway::admin
