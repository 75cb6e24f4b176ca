// Any bytes as a route: an error, or one whose targets and rules keep to their limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/routing/route.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using stoa::gateway::Route;
  const auto route = stoa::gateway::parse_route({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!route) return 0;
  if (route->targets.empty() || route->targets.size() + route->fallback.size() > Route::kMaxTargets || route->rules.size() > Route::kMaxRules) std::abort();
  if (route->attempts < 1 || route->attempts > Route::kMaxAttempts || route->retries < 0 || route->retries > Route::kMaxRetries) std::abort();
  for (const auto& rule : route->rules)
    if (rule.when == nullptr || rule.targets.empty()) std::abort();
  if (route->canary && (route->canary->steps.empty() || route->canary->steps.back() != 100)) std::abort();
  return 0;
}
