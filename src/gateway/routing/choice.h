// Which targets of a route a request may go to, and in which order they are asked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gateway/routing/route_parts.h"

namespace stoa::gateway {

// What the rules of a route say of one request. Made once for it; views the route.
class RuleVerdicts {
 public:
  // A condition that asks for what is not known counts as true for only and never, and as false for prefer: not knowing never opens a way.
  RuleVerdicts(const RouteParts& parts, const Call& call, const ChatRequest& request);
  // kPermissionDenied names the rule that keeps the request from the target.
  Status allows(const OpenTarget& target) const;
  bool prefers(const OpenTarget& target) const;

 private:
  const std::string& route_;
  std::vector<const RouteRule*> holding_;
};

// The targets in the order of asking, then those to fall back on; only what the rules allow. One call's order differs from the next where chance decides.
// `refused`: what kept a target out, if anything did.
std::vector<const OpenTarget*> choose_targets(const RouteParts& parts, const Call& call, const ChatRequest& request, const RuleVerdicts& rules, SteadyTime now, std::optional<Error>& refused);

// A number that hangs on the texts alone, evenly spread over (0, 1).
double fraction_of(std::string_view a, std::string_view b, std::string_view c);
double chance();  // evenly spread over [0, 1), another each time

}  // namespace stoa::gateway
