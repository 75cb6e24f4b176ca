// Rights that are lent for minutes, to jobs and in emergencies.
#include "gateway/api/admin/routes.h"

#include "governance/identity/delegated_tokens.h"
#include "governance/identity/elevations.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr Micros kSecond = 1'000'000;

JsonObject token_json(const governance::DelegatedToken& token) {
  JsonArray grants;
  for (const auto& grant : token.grants) grants.push_back(Json(governance::grant_text(grant)));
  return {{"id", token.id}, {"object", "stoa.token"}, {"name", token.name}, {"on_behalf", token.holder}, {"grants", std::move(grants)},
          {"created", to_rfc3339(token.created)}, {"expires", to_rfc3339(token.expires)}};
}

Reply create_token(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  governance::NewDelegatedToken wanted;
  STOA_TRY(name, body.required_text("name"));
  STOA_TRY(grants, body.texts("grants", 16));
  STOA_TRY(seconds, body.integer("seconds", 1, governance::DelegatedTokens::kMaxLifetime / kSecond));
  wanted.name = std::move(name);
  for (const auto& text : grants) {
    auto grant = governance::parse_grant(text);
    if (!grant) return fail(std::move(grant).error().with_param("grants"));
    wanted.grants.push_back(std::move(*grant));
  }
  if (seconds) wanted.lifetime = *seconds * kSecond;
  STOA_TRY(issued, parts.delegated->issue(scope.call(), wanted));
  JsonObject out = token_json(issued.token);
  out["token"] = issued.secret;
  return infra::HttpResponse::json(201, dump_json(out));
}

Reply list_tokens(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(tokens, parts.delegated->list(scope.call()));
  JsonArray items;
  for (const auto& token : tokens) items.push_back(token_json(token));
  return ok_json(list_json(std::move(items)));
}

Reply revoke_token(const AdminParts& parts, RequestScope& scope) {
  const std::string id(scope.request().path_param("id"));
  STOA_CHECK(parts.delegated->revoke(scope.call(), id));
  return ok_json({{"id", id}, {"revoked", true}});
}

JsonObject elevation_json(const governance::Elevation& e) {
  return {{"id", e.id}, {"object", "stoa.break_glass"}, {"principal", e.holder}, {"user", e.user}, {"project", e.project}, {"reason", e.reason},
          {"created", to_rfc3339(e.created)}, {"expires", to_rfc3339(e.expires)}, {"ended", time_json(e.ended)}};
}

Reply begin_elevation(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(reason, body.required_text("reason"));
  STOA_TRY(minutes, body.integer("minutes", 1, governance::Elevations::kMaxLength / (60 * kSecond)));
  if (!minutes) return body.wrong("minutes", "a number of minutes; it is required");
  STOA_TRY(issued, parts.elevations->begin(scope.call(), reason, *minutes * 60 * kSecond));
  JsonObject out = elevation_json(issued.elevation);
  out["token"] = issued.secret;
  return infra::HttpResponse::json(201, dump_json(out));
}

Reply list_elevations(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(elevations, parts.elevations->list(scope.call()));
  JsonArray items;
  for (const auto& elevation : elevations) items.push_back(elevation_json(elevation));
  return ok_json(list_json(std::move(items)));
}

Reply end_elevation(const AdminParts& parts, RequestScope& scope) {
  const std::string id(scope.request().path_param("id"));
  STOA_CHECK(parts.elevations->end(scope.call(), id));
  return ok_json({{"id", id}, {"ended", true}});
}

using Handler = Reply (*)(const AdminParts&, RequestScope&);

}  // namespace

Status add_lent_rights_routes(infra::Router& router, const AdminParts& parts) {
  const auto add = [&](Routes& routes, const char* method, const char* path, Action action, Handler handler) {
    return routes.add(method, path, action, [&parts, handler](RequestScope& scope) { return handler(parts, scope); });
  };
  if (parts.delegated != nullptr) {
    Routes routes(router, parts, "token");
    STOA_CHECK(add(routes, "POST", "/v1/stoa/tokens", Action::kTokenCreate, create_token));
    STOA_CHECK(add(routes, "GET", "/v1/stoa/tokens", Action::kTokenCreate, list_tokens));
    STOA_CHECK(add(routes, "DELETE", "/v1/stoa/tokens/{id}", Action::kTokenCreate, revoke_token));
  }
  if (parts.elevations != nullptr) {
    Routes routes(router, parts, "break-glass");
    STOA_CHECK(add(routes, "POST", "/v1/stoa/break-glass", Action::kBreakGlassUse, begin_elevation));
    STOA_CHECK(add(routes, "GET", "/v1/stoa/break-glass", Action::kSystemRead, list_elevations));  // the service asks for more
    STOA_CHECK(add(routes, "DELETE", "/v1/stoa/break-glass/{id}", Action::kSystemRead, end_elevation));
  }
  return {};
}

}  // namespace stoa::gateway::admin
