// A route: a name that callers use as a model, and what answers for it. Written as data (YAML, of which JSON is a part):
//
//   description: cheap first, a stronger one when that fails
//   choose: weighted          # weighted (default) | latency | ordered
//   sticky: false             # weighted: the same caller gets the same target, as long as it works
//   attempts: 3               # targets that are tried for one request, at most
//   targets:
//     - model: smollm2-135m-instruct        # of this server
//       weight: 9
//     - provider: openrouter                # of a provider (stoa providers)
//       model: llama-3.3-70b
//   fallback:                 # tried in this order when all targets have failed
//     - provider: openai
//       model: gpt-4o-mini
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::gateway {

struct RouteTarget {
  std::string provider;  // empty: a model of this server
  std::string model;     // as the provider, or this server, calls it
  int weight = 1;        // 0: chosen only when the others have failed

  std::string id() const { return provider.empty() ? model : provider + "/" + model; }
};

struct Route {
  enum class Choice : std::uint8_t { kWeighted, kLatency, kOrdered };
  static constexpr std::size_t kMaxTargets = 16;
  static constexpr int kMaxAttempts = 8;

  std::string description;
  Choice choose = Choice::kWeighted;
  bool sticky = false;
  int attempts = 3;
  std::vector<RouteTarget> targets;   // at least one
  std::vector<RouteTarget> fallback;  // with the targets at most kMaxTargets
};

// 1 to 128 letters, digits and ._:-; not beginning with one of those signs. kInvalidArgument with the parameter "name".
Status check_route_name(std::string_view name);
// Errors name "NAME:line", the value and what is allowed.
Result<Route> parse_route(std::string_view text, std::string_view name);

}  // namespace stoa::gateway
