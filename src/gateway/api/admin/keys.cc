// API keys of the caller's project: made (and shown once), listed, replaced, revoked.
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::int64_t kDay = 86'400;

JsonArray texts_json(const std::vector<std::string>& texts) {
  JsonArray out;
  for (const auto& text : texts) out.push_back(Json(text));
  return out;
}

JsonObject key_json(const governance::ApiKey& key) {
  return {{"id", key.id},
          {"object", "stoa.api_key"},
          {"prefix", key.prefix},
          {"project", key.project},
          {"user", key.user},
          {"label", key.label},
          {"role", key.role},
          {"scopes", texts_json(key.scopes)},
          {"created", to_rfc3339(key.created)},
          {"expires", time_json(key.expires)},
          {"revoked", time_json(key.revoked)},
          {"last_used", time_json(key.last_used)}};
}

Result<governance::NewKey> parse_key(const JsonObject& object, const Principal& caller) {
  const Fields body(object);
  governance::NewKey key;
  STOA_TRY(project, body.text_or("project", caller.project));
  STOA_TRY(user, body.text_or("user", ""));
  STOA_TRY(label, body.text_or("label", ""));
  STOA_TRY(role, body.text_or("role", "developer"));
  STOA_TRY(expires, body.text("expires"));
  if (expires) {
    const auto time = parse_rfc3339(*expires);
    if (!time) return body.wrong("expires", "a time such as 2026-01-31T12:00:00Z");
    key.expires = *time;
  }
  STOA_TRY(scopes, body.texts("scopes", 32));
  key.scopes = std::move(scopes);
  key.project = std::move(project);
  key.user = std::move(user);
  key.label = std::move(label);
  key.role = std::move(role);
  return key;
}

Reply create(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(wanted, parse_key(body, scope.principal()));
  STOA_TRY(issued, parts.identity.issue_key(scope.call(), wanted));
  JsonObject out = key_json(issued.key);
  out["key"] = issued.secret;
  return infra::HttpResponse::json(201, dump_json(out));
}

Reply rotate(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(overlap, Fields(object).integer("overlap_seconds", 0, 30 * kDay));
  STOA_TRY(issued, parts.identity.rotate_key(scope.call(), scope.request().path_param("id"), overlap.value_or(kDay) * 1'000'000));
  JsonObject out = key_json(issued.key);
  out["key"] = issued.secret;
  return infra::HttpResponse::json(201, dump_json(out));
}

Reply list(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(keys, parts.identity.keys(scope.call()));
  JsonArray items;
  for (const auto& key : keys) items.push_back(key_json(key));
  return ok_json(list_json(std::move(items)));
}

Reply revoke(const AdminParts& parts, RequestScope& scope) {
  const std::string id(scope.request().path_param("id"));
  STOA_CHECK(parts.identity.revoke_key(scope.call(), id));
  return ok_json({{"id", id}, {"revoked", true}});
}

}  // namespace

Status add_key_routes(infra::Router& router, const AdminParts& parts) {
  Routes routes(router, parts, "key");
  STOA_CHECK(routes.add("POST", "/v1/stoa/keys", Action::kKeyManage, [&parts](RequestScope& scope) { return create(parts, scope); }));
  STOA_CHECK(routes.add("GET", "/v1/stoa/keys", Action::kKeyManage, [&parts](RequestScope& scope) { return list(parts, scope); }));
  STOA_CHECK(routes.add("POST", "/v1/stoa/keys/{id}/rotate", Action::kKeyManage, [&parts](RequestScope& scope) { return rotate(parts, scope); }));
  return routes.add("DELETE", "/v1/stoa/keys/{id}", Action::kKeyManage, [&parts](RequestScope& scope) { return revoke(parts, scope); });
}

}  // namespace stoa::gateway::admin
