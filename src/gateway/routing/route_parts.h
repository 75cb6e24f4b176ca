// What an opened route consists of, and what it shares with the requests before and after it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/routing/route.h"
#include "gateway/routing/route_state.h"
#include "gateway/routing/target_health.h"
#include "governance/access/access.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

class Canaries;
class MirrorPool;

struct OpenTarget {
  RouteTarget target;
  std::string key;  // tells it from targets of that name elsewhere, for its health
  std::shared_ptr<models::Generator> generator;
  bool on_prem = false;   // what it is sent does not leave the house
  std::string residency{};  // region where it keeps what it is sent; empty: not known
};

// Of all routes. What is pointed to outlives them; all may be called from many threads.
struct RouteHooks {
  // Whether this caller's request may go to that target: the decision that a policy about residency or data classes makes. Empty: yes.
  std::function<Status(const Call& call, const RouteTarget& target)> permits{};
  // What a target would cost, in micro-units; nothing where that is not known. Empty: nothing is known.
  std::function<std::optional<double>(std::string_view target, const Usage& usage)> price{};
  const governance::Access* access = nullptr;  // tells rules of a request's attributes; needed by routes with rules
  MirrorPool* mirrors = nullptr;               // null: nothing is mirrored
  Canaries* canaries = nullptr;                // null: canaries get no requests
};

struct RouteParts {
  std::string name;
  Route route;
  std::vector<OpenTarget> targets, fallback;  // those of the route that are there, in its order; at least one target or fallback
  TargetHealth& health;
  std::shared_ptr<RouteState> state = std::make_shared<RouteState>();
  RouteHooks hooks{};
  std::optional<OpenTarget> mirror{}, canary{};
};

}  // namespace stoa::gateway
