// Whether the process lives, is ready, and what it is doing.
#include "feedback/telemetry/exposition.h"
#include "gateway/api/admin/routes.h"
#include "governance/identity/elevations.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

constexpr std::size_t kCollectionPage = 100;
constexpr int kMaxCollectionPages = 100;

infra::HttpResponse metrics_page(const AdminParts& parts) {
  parts.process.sample();
  if (parts.elevations != nullptr) parts.elevations->count();  // they end by themselves
  infra::HttpResponse response = infra::HttpResponse::text(200, feedback::expose(parts.metrics, parts.metric_names));
  response.headers.set("content-type", std::string(feedback::kExpositionType));
  return response;
}

// What the caller sees of the documents: other people's do not show in the numbers.
Result<JsonObject> documents_json(const AdminParts& parts, const Call& call) {
  std::int64_t collections = 0, documents = 0, chunks = 0;
  data::PageRequest page{.limit = kCollectionPage, .after = {}};
  for (int i = 0; i < kMaxCollectionPages; ++i) {
    STOA_TRY(found, parts.catalog.collections(call, page));
    for (const auto& collection : found.items) {
      ++collections;
      documents += collection.counts.completed;
      chunks += collection.counts.chunks;
    }
    if (!found.more) break;
    page.after = found.items.back().id;
  }
  return JsonObject{{"collections", collections}, {"documents", documents}, {"chunks", chunks}};
}

Json engine_json(const AdminParts& parts) {
  if (!parts.engine) return nullptr;
  const EngineStatus engine = parts.engine();
  return JsonObject{{"slots", engine.slots}, {"running", engine.running}, {"waiting", engine.waiting}, {"kv_bytes_used", engine.kv_bytes_used}, {"kv_bytes", engine.kv_bytes}};
}

JsonObject model_json(const ModelStatus& model) {
  JsonArray weights, choices;
  for (const auto& w : model.weights) weights.push_back(JsonObject{{"type", w.type}, {"tensors", w.tensors}, {"bytes", w.bytes}, {"kernel", w.kernel}});
  for (const auto& c : model.choices) choices.push_back(JsonObject{{"what", c.what}, {"value", c.value}, {"why", c.why}});
  return {{"id", model.id}, {"kind", model.kind}, {"format", model.format}, {"isa", model.isa}, {"context", model.context},
          {"weights", std::move(weights)}, {"choices", std::move(choices)}};
}

Reply status(const AdminParts& parts, RequestScope& scope, SteadyTime started) {
  JsonArray models;
  for (const auto& model : parts.models) models.push_back(model_json(model));
  JsonArray listeners;
  if (parts.listeners)
    for (const auto& listener : parts.listeners()) listeners.push_back(JsonObject{{"url", listener.url}, {"roles", listener.roles}});
  STOA_TRY(documents, documents_json(parts, scope.call()));
  const double uptime = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return ok_json({{"version", parts.version}, {"uptime_seconds", uptime}, {"models", std::move(models)}, {"engine", engine_json(parts)}, {"documents", std::move(documents)},
                  {"listeners", std::move(listeners)}});
}

// Every route of this server and what decides who may call it.
Reply routes_list(const AdminParts& parts) {
  JsonArray items;
  for (const auto& route : parts.routes) items.push_back(JsonObject{{"method", route.method}, {"pattern", route.pattern}, {"guard", route.guard}, {"public", route.open}});
  return ok_json(list_json(std::move(items)));
}

}  // namespace

Status add_system_routes(infra::Router& router, const AdminParts& parts) {
  const infra::RouteOptions inline_route{.inline_on_io = true};
  STOA_CHECK(add_public_route(router, "GET", "/healthz", "says that the process lives", [](const infra::HttpRequest&, infra::Responder& responder) { responder.send(infra::HttpResponse::text(200, "ok\n")); },
                        inline_route));
  STOA_CHECK(add_public_route(router, "GET", "/readyz", "says whether requests are taken", [&parts](const infra::HttpRequest&, infra::Responder& responder) {
    const Status ready = parts.ready ? parts.ready() : Status{};
    responder.send(infra::HttpResponse::text(ready ? 200 : 503, ready ? "ready\n" : ready.error().message + "\n"));
  }, inline_route));

  Routes routes(router, parts, "system");
  if (parts.open_metrics)
    STOA_CHECK(add_public_route(router, "GET", "/metrics", "only this machine reaches the server", [&parts](const infra::HttpRequest&, infra::Responder& responder) { responder.send(metrics_page(parts)); }));
  else
    STOA_CHECK(routes.add("GET", "/metrics", Action::kSystemRead, [&parts](RequestScope&) -> Reply { return metrics_page(parts); }));
  STOA_CHECK(routes.add("GET", "/v1/stoa/routes", Action::kSystemRead, [&parts](RequestScope&) { return routes_list(parts); }));
  return routes.add("GET", "/v1/stoa/status", Action::kSystemRead,
                    [&parts, started = std::chrono::steady_clock::now()](RequestScope& scope) { return status(parts, scope, started); });
}

}  // namespace stoa::gateway::admin
