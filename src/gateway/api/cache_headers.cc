#include "gateway/api/cache_headers.h"

#include <string>

namespace stoa::gateway {

void add_cache_headers(infra::HttpHeaders& headers, const CacheNote::State& state) {
  headers.set("x-stoa-cache", !state.hit ? "miss" : state.hit->kind == "exact" ? "hit" : state.hit->kind);
  headers.set("x-stoa-cache-key", state.key);
  if (!state.hit) return;
  headers.set("x-stoa-cache-source", state.hit->source);
  if (state.hit->kind == "semantic") headers.set("x-stoa-cache-similarity", fmt::format("{:.4f}", state.hit->similarity));
}

}  // namespace stoa::gateway
