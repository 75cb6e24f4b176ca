// What a name of a project leads to besides the models of this server: a route, or a model of a provider as "provider/model".
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/routing/route_store.h"
#include "gateway/routing/routed_generator.h"
#include "gateway/routing/target_health.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// Opens a target for callers of a project; an error says what is missing.
using OpenTargets = std::function<Result<std::shared_ptr<models::Generator>>(std::string_view project, const RouteTarget& target)>;

// Thread-safe. What is passed by reference outlives it, and so does what the functions refer to.
class RouteDirectory {
 public:
  // `permits` as in RouteParts.
  RouteDirectory(RouteStore& routes, OpenTargets open, std::function<Status(const Call& call, const RouteTarget& target)> permits = {})
      : routes_(routes), open_(std::move(open)), permits_(std::move(permits)) {}

  // Null when the name leads to neither; an error when it does, but to nothing that could answer.
  Result<std::shared_ptr<models::Generator>> find(std::string_view project, std::string_view name);
  std::vector<std::string> names(std::string_view project) { return routes_.names(project); }
  const TargetHealth& health() const { return health_; }

 private:
  RouteStore& routes_;
  const OpenTargets open_;
  const std::function<Status(const Call& call, const RouteTarget& target)> permits_;
  TargetHealth health_;
};

}  // namespace stoa::gateway
