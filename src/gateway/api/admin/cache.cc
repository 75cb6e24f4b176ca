// The cache of the caller's project: its settings, how it does, and forgetting.
#include "gateway/cache/cache.h"

#include "gateway/api/admin/text_routes.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

Reply stats(const Cache& cache, RequestScope& scope) {
  const CacheStats stats = cache.stats(scope.principal().project);
  return ok_json({{"object", "stoa.cache_stats"},
                  {"answers", stats.answers},
                  {"answer_bytes", stats.answer_bytes},
                  {"hits", stats.hits},
                  {"semantic", stats.semantic},
                  {"shared", stats.shared},
                  {"misses", stats.misses},
                  {"embeddings", stats.embeddings},
                  {"embedding_bytes", stats.embedding_bytes},
                  {"embedding_hits", stats.embedding_hits},
                  {"embedding_misses", stats.embedding_misses}});
}

Reply purge(Cache& cache, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  CachePurge what;
  for (const auto& [name, member] : {std::pair("key", &CachePurge::key), {"tag", &CachePurge::tag}, {"document", &CachePurge::document}, {"model", &CachePurge::model}}) {
    STOA_TRY(text, body.text_or(name, ""));
    what.*member = std::move(text);
  }
  STOA_TRY(all, body.flag_or("all", false));
  what.all = all;
  STOA_TRY(purged, cache.purge(scope.call(), what));
  return ok_json({{"object", "stoa.cache_purge"}, {"purged", purged}});
}

}  // namespace

Status add_cache_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.cache == nullptr) return {};
  STOA_CHECK(add_text_routes(router, parts, parts.cache->texts(), {.path = "/v1/stoa/cache", .object = "stoa.cache", .name = std::string(Cache::kName)}));
  Routes routes(router, parts, "cache");
  STOA_CHECK(routes.add("GET", "/v1/stoa/cache/stats", Action::kModelList, [&parts](RequestScope& scope) { return stats(*parts.cache, scope); }));
  return routes.add("POST", "/v1/stoa/cache/purge", Action::kModelManage, [&parts](RequestScope& scope) { return purge(*parts.cache, scope); });
}

}  // namespace stoa::gateway::admin
