// Providers of the caller's project: places elsewhere that serve models, and the credentials to use them, which go in and never come out.
#include "gateway/api/admin/routes.h"
#include "gateway/providers/provider_store.h"
#include "infra/http/sender.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

std::string name_of(const RequestScope& scope) { return std::string(scope.request().path_param("name")); }
Result<governance::Permit> permit_of(RequestScope& scope) { return permit_for(scope, Action::kModelManage, "provider"); }

JsonObject provider_json(const Provider& provider) {
  JsonObject options;
  for (const auto& [name, value] : provider.options) options[name] = value;
  JsonArray models;
  for (const ProviderModel& model : provider.models) models.push_back(JsonObject{{"name", model.name}, {"context_length", model.context_length}});
  return {{"object", "stoa.provider"}, {"name", provider.name}, {"family", provider.family}, {"url", provider.url}, {"options", std::move(options)}, {"models", std::move(models)},
          {"residency", provider.residency}, {"on_prem", provider.on_prem}, {"created", to_rfc3339(provider.created)}, {"updated", to_rfc3339(provider.updated)},
          {"credential", JsonObject{{"set", provider.credential_set.has_value()}, {"time", time_json(provider.credential_set)}}}};
}

Status read_models(const Fields& body, Provider& out) {
  STOA_TRY(models, body.array("models", ProviderStore::kMaxModels));
  if (models == nullptr) return {};
  for (std::size_t i = 0; i < models->size(); ++i) {
    const Json& item = (*models)[i];
    if (item.is_string()) {
      out.models.push_back({std::string(item.get_string())});
      continue;
    }
    if (!item.is_object()) return body.wrong(fmt::format("models[{}]", i), "a name, or an object with name and context_length");
    const Fields model(item.get_object(), body.path(fmt::format("models[{}]", i)));
    STOA_TRY(name, model.required_text("name"));
    STOA_TRY(context, model.integer_or("context_length", 1, 100'000'000, kDefaultContext));
    out.models.push_back({std::move(name), static_cast<int>(context)});
  }
  return {};
}

Result<Provider> read_provider(const JsonObject& object, std::string name) {
  const Fields body(object);
  Provider out;
  if (name.empty()) {
    STOA_TRY(given, body.required_text("name"));
    name = std::move(given);
  }
  out.name = std::move(name);
  for (const auto& [key, target] : {std::pair{"family", &out.family}, {"url", &out.url}}) {
    STOA_TRY(text, body.required_text(key));
    *target = std::move(text);
  }
  STOA_TRY(residency, body.text_or("residency", ""));
  STOA_TRY(on_prem, body.flag_or("on_prem", false));
  out.residency = std::move(residency);
  out.on_prem = on_prem;
  STOA_TRY(options, body.object("options"));
  if (options != nullptr) {
    const Fields inner(*options, "options");
    for (const auto& member : *options) {
      STOA_TRY(value, inner.required_text(member.key()));
      out.options[std::string(member.key())] = std::move(value);
    }
  }
  STOA_CHECK(read_models(body, out));
  return out;
}

Reply list(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(found, parts.providers->list(permit));
  JsonArray items;
  for (const Provider& provider : found) items.push_back(provider_json(provider));
  return ok_json(list_json(std::move(items)));
}

Reply show(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(found, parts.providers->get(permit, name_of(scope)));
  return ok_json(provider_json(found));
}

Reply add(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(provider, read_provider(object, ""));
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(stored, parts.providers->add(permit, scope.call(), std::move(provider)));
  return ok_json(provider_json(stored));
}

Reply replace(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(provider, read_provider(object, name_of(scope)));
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(stored, parts.providers->replace(permit, scope.call(), std::move(provider)));
  return ok_json(provider_json(stored));
}

Reply remove(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_of(scope));
  STOA_CHECK(parts.providers->remove(permit, scope.call(), name_of(scope)));
  return ok_json({{"object", "stoa.provider"}, {"name", name_of(scope)}, {"deleted", true}});
}

Reply set_credential(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(credential, Fields(object).required_text("credential"));
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(stored, parts.providers->set_credential(permit, scope.call(), name_of(scope), credential));
  return ok_json(provider_json(stored));
}

// With a model, one token is asked of it: the way that answers take.
JsonObject ask_one_token(const AdminParts& parts, RequestScope& scope, const Provider& provider, const std::string& name) {
  const auto known = std::ranges::find(provider.models, name, &ProviderModel::name);
  auto target = parts.providers->target(scope.principal().project, provider, known == provider.models.end() ? ProviderModel{name} : *known);
  ChatRequest request;
  request.model = name;
  request.messages = {{.role = "user", .content = "Say yes."}};
  request.max_tokens = 1;
  const auto generator = open_provider(std::move(target), *parts.provider_sender);
  const auto outcome = generator ? (*generator)->generate(scope.call(), request, [](const ChatDelta&) { return true; }) : Result<ChatOutcome>(stoa::fail(generator.error()));
  JsonObject out{{"model", name}, {"usable", outcome.has_value()}};
  if (outcome) {
    out["milliseconds"] = millis(outcome->usage.total_micros);
    out["prompt_tokens"] = outcome->usage.prompt_tokens;
    out["completion_tokens"] = outcome->usage.completion_tokens;
  } else {
    out["said"] = outcome.error().message + (outcome.error().hint.empty() ? "" : "; " + outcome.error().hint);
  }
  return out;
}

Reply check(const AdminParts& parts, RequestScope& scope) {
  JsonObject object;
  if (!scope.request().body.empty()) {
    STOA_TRY(body, parse_body(scope.request().body));
    object = std::move(body);
  }
  STOA_TRY(model, Fields(object).text_or("model", ""));
  STOA_TRY(permit, permit_of(scope));
  STOA_TRY(provider, parts.providers->get(permit, name_of(scope)));
  const auto target = parts.providers->target(scope.principal().project, provider, {});
  const ProviderCheck checked = check_target(target, *parts.provider_sender, scope.call().cancel);
  JsonArray there(checked.models.begin(), checked.models.end()), missing;
  for (const ProviderModel& each : provider.models)
    if (!checked.models.empty() && !std::ranges::binary_search(checked.models, each.name)) missing.push_back(Json(each.name));
  JsonObject out{{"object", "stoa.provider_check"}, {"name", provider.name}, {"usable", checked.usable}, {"said", checked.said}, {"milliseconds", checked.took.count()},
                 {"models", std::move(there)}, {"missing", std::move(missing)}};
  if (!model.empty()) out["answer"] = ask_one_token(parts, scope, provider, model);
  return ok_json(out);
}

}  // namespace

Status add_provider_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.providers == nullptr) return {};
  Routes routes(router, parts, "provider");
  const auto on = [&parts](Reply (*handler)(const AdminParts&, RequestScope&)) { return [&parts, handler](RequestScope& scope) { return handler(parts, scope); }; };
  STOA_CHECK(routes.add("GET", "/v1/stoa/providers", Action::kModelManage, on(list)));
  STOA_CHECK(routes.add("POST", "/v1/stoa/providers", Action::kModelManage, on(add)));
  STOA_CHECK(routes.add("GET", "/v1/stoa/providers/{name}", Action::kModelManage, on(show)));
  STOA_CHECK(routes.add("PUT", "/v1/stoa/providers/{name}", Action::kModelManage, on(replace)));
  STOA_CHECK(routes.add("DELETE", "/v1/stoa/providers/{name}", Action::kModelManage, on(remove)));
  STOA_CHECK(routes.add("PUT", "/v1/stoa/providers/{name}/credential", Action::kModelManage, on(set_credential)));
  return routes.add("POST", "/v1/stoa/providers/{name}/check", Action::kModelManage, on(check));
}

}  // namespace stoa::gateway::admin
