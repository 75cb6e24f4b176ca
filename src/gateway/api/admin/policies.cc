// Policies of the caller's tenant: shown, set, rolled back and tried out; its roles; and why a decision comes out as it does.
#include "gateway/api/admin/policy_json.h"
#include "gateway/api/admin/routes.h"
#include "governance/policies/policies.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;
using governance::PolicyScope;

PolicyScope own(const RequestScope& scope) { return {scope.principal().tenant}; }
std::string name_of(const RequestScope& scope) { return std::string(scope.request().path_param("name")); }

Reply list(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(found, parts.policies.list(scope.call(), own(scope)));
  JsonObject out = policies_json(found);
  const auto layers = parts.access.state();
  const auto mine = layers->tenants.find(scope.principal().tenant);
  out["version"] = mine == layers->tenants.end() ? layers->version : mine->second.version;
  return ok_json(out);
}

Reply show(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(version, query_int(scope.request(), "version", 1, INT64_MAX, 0));
  STOA_TRY(found, parts.policies.get(scope.call(), own(scope), name_of(scope), version == 0 ? std::nullopt : std::optional(version)));
  return ok_json(policy_json(found, true));
}

Reply history(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(found, parts.policies.history(scope.call(), own(scope), name_of(scope)));
  return ok_json(policies_json(found));
}

Reply diff(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(from, query_int(scope.request(), "from", 1, INT64_MAX, 1));
  STOA_TRY(to, query_int(scope.request(), "to", 1, INT64_MAX, 1));
  STOA_TRY(changes, parts.policies.diff(scope.call(), own(scope), name_of(scope), from, to));
  return ok_json(rule_changes_json(changes));
}

Reply set(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  governance::NewPolicy policy;
  policy.name = name_of(scope);
  STOA_TRY(text, body.text_or("text", ""));
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(expected, body.integer("expected_version", 0, INT64_MAX));
  policy.text = std::move(text);
  policy.comment = std::move(comment);
  policy.expected = expected;
  STOA_TRY(stored, parts.policies.set(scope.call(), own(scope), policy));
  return ok_json(policy_json(stored, false));
}

Reply rollback(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(version, body.integer("version", 1, INT64_MAX));
  if (!version) return body.wrong("version", "the number of a version");
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(stored, parts.policies.rollback(scope.call(), own(scope), name_of(scope), *version, std::move(comment)));
  return ok_json(policy_json(stored, false));
}

Reply remove(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(stored, parts.policies.remove(scope.call(), own(scope), name_of(scope), query_text(scope.request(), "comment")));
  return ok_json(policy_json(stored, false));
}

Reply dry_run(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(name, body.text_or("name", "proposal"));
  STOA_TRY(text, body.text_or("text", ""));
  STOA_TRY(run, parts.policies.dry_run(scope.call(), own(scope), name, text));
  return ok_json(dry_run_json(run));
}

// ---- Roles

JsonObject role_json(const governance::Rule& rule, const governance::PolicyFile& file, bool tenant) {
  JsonArray actions;
  for (const auto& info : governance::action_table())
    if (rule.actions.has(info.action)) actions.push_back(Json(info.name));
  return {{"object", "stoa.role"}, {"name", rule.name}, {"scope", tenant ? "tenant" : "installation"}, {"where", fmt::format("{}:{}", file.name, rule.place.line)}, {"actions", std::move(actions)}};
}

Reply roles(const AdminParts& parts, RequestScope& scope) {
  const auto state = parts.access.state();
  const auto layers = state->layers(scope.principal().tenant);
  const std::string wanted(scope.request().path_param("name"));
  JsonArray items;
  for (const auto* set : {layers.installation.get(), layers.tenant.get()}) {
    if (set == nullptr) continue;
    for (const auto& [rule, file] : set->roles()) {
      JsonObject role = role_json(*rule, *file, set == layers.tenant.get());
      if (rule->name == wanted) return ok_json(role);
      items.push_back(std::move(role));
    }
  }
  if (!wanted.empty()) return fail(error(ErrorCode::kNotFound, "there is no role '{}'", wanted.substr(0, 100)).with_param("name"));
  return ok_json(list_json(std::move(items)));
}

// ---- Explanations

Status read_resource(const JsonObject& object, governance::Resource& resource) {
  const Fields body(object);
  for (const auto& [name, target] : {std::pair{"kind", &resource.kind}, {"name", &resource.name}, {"project", &resource.project}, {"owner", &resource.owner},
                                     {"class", &resource.data_class}, {"residency", &resource.residency}}) {
    STOA_TRY(text, body.text_or(name, *target));
    *target = std::move(text);
  }
  if (body.has("labels")) {
    STOA_TRY(labels, body.texts("labels", 64));
    resource.labels = std::move(labels);
  }
  return {};
}

Status read_origin(const JsonObject& object, Origin& origin) {
  const Fields body(object);
  STOA_TRY(address, body.text_or("address", origin.address));
  STOA_TRY(purpose, body.text_or("purpose", origin.purpose));
  STOA_TRY(tls, body.flag_or("tls", origin.tls));
  origin.address = std::move(address);
  origin.purpose = std::move(purpose);
  origin.tls = tls;
  return {};
}

Reply explain(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(action_name, body.text_or("action", ""));
  STOA_TRY(action, governance::parse_action(action_name));
  Call call = scope.call();
  STOA_TRY(key, body.text_or("key", ""));
  if (!key.empty()) {
    auto holder = parts.identity.holder(key);
    if (!holder || holder->tenant != scope.principal().tenant) return fail(error(ErrorCode::kNotFound, "there is no key '{}' that works", key.substr(0, 100)).with_param("key"));
    call.principal = std::move(*holder);
  }
  STOA_TRY(role, body.text_or("role", call.principal.role));
  call.principal.role = std::move(role);
  auto resource = governance::Resource::of(call.principal, "");
  STOA_TRY(resource_part, body.object("resource"));
  if (resource_part != nullptr) STOA_CHECK(read_resource(*resource_part, resource));
  STOA_TRY(origin_part, body.object("origin"));
  if (origin_part != nullptr) STOA_CHECK(read_origin(*origin_part, call.origin));
  const auto explained = parts.access.explain(call, action, resource);
  const auto& decision = explained.decision;
  JsonArray notes;
  if (explained.policies)
    for (const auto& note : explained.policies->notes) notes.push_back(JsonObject{{"rule", note.rule->name}, {"where", note.where}, {"applies", note.applies}, {"why", note.why}});
  return ok_json({{"object", "stoa.decision"}, {"allowed", decision.allowed}, {"rule", decision.rule}, {"where", decision.where}, {"reason", decision.reason}, {"version", decision.version},
                  {"principal", call.principal.id}, {"role", call.principal.role}, {"action", governance::action_name(action)}, {"looked_at", std::move(notes)},
                  {"others", explained.policies ? explained.policies->others : 0}});
}

}  // namespace

Status add_policy_routes(infra::Router& router, const AdminParts& parts) {
  Routes policies(router, parts, "policy"), kinds(router, parts, "role"), decisions(router, parts, "decision");
  const auto on = [&parts](Reply (*handler)(const AdminParts&, RequestScope&)) { return [&parts, handler](RequestScope& scope) { return handler(parts, scope); }; };
  STOA_CHECK(policies.add("GET", "/v1/stoa/policies", Action::kPolicyRead, on(list)));
  STOA_CHECK(policies.add("POST", "/v1/stoa/policies/dry-run", Action::kPolicyRead, on(dry_run)));
  STOA_CHECK(policies.add("GET", "/v1/stoa/policies/{name}", Action::kPolicyRead, on(show)));
  STOA_CHECK(policies.add("PUT", "/v1/stoa/policies/{name}", Action::kPolicyManage, on(set)));
  STOA_CHECK(policies.add("DELETE", "/v1/stoa/policies/{name}", Action::kPolicyManage, on(remove)));
  STOA_CHECK(policies.add("GET", "/v1/stoa/policies/{name}/history", Action::kPolicyRead, on(history)));
  STOA_CHECK(policies.add("GET", "/v1/stoa/policies/{name}/diff", Action::kPolicyRead, on(diff)));
  STOA_CHECK(policies.add("POST", "/v1/stoa/policies/{name}/rollback", Action::kPolicyManage, on(rollback)));
  STOA_CHECK(kinds.add("GET", "/v1/stoa/roles", Action::kPolicyRead, on(roles)));
  STOA_CHECK(kinds.add("GET", "/v1/stoa/roles/{name}", Action::kPolicyRead, on(roles)));
  return decisions.add("POST", "/v1/stoa/access/explain", Action::kPolicyRead, on(explain));
}

}  // namespace stoa::gateway::admin
