// What a name of a project leads to besides the models of this server: a route, or a model of a provider as "provider/model".
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/routing/route_store.h"
#include "gateway/routing/routed_generator.h"
#include "gateway/routing/target_health.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

struct TargetPlace {
  std::shared_ptr<models::Generator> generator;
  bool on_prem = false;
  std::string residency{};
};

struct DirectoryParts {
  RouteStore& routes;
  TargetHealth& health;
  // Opens a target for callers of a project; an error says what is missing.
  std::function<Result<TargetPlace>(std::string_view project, const RouteTarget& target)> open;
  // Raised when what open() gives may have changed. Empty: never.
  std::function<std::uint64_t()> generation{};
  RouteHooks hooks{};
};

// Thread-safe. What is passed by reference outlives it, and so does what the functions refer to.
class RouteDirectory {
 public:
  static constexpr std::size_t kMostOpen = 4096;  // names that stay opened; beyond, all are opened anew

  explicit RouteDirectory(DirectoryParts parts) : parts_(std::move(parts)) {}

  // Null when the name leads to neither; an error when it does, but to nothing that could answer.
  Result<std::shared_ptr<models::Generator>> find(std::string_view project, std::string_view name);
  std::vector<std::string> names(std::string_view project) { return parts_.routes.names(project); }
  const TargetHealth& health() const { return parts_.health; }

 private:
  // What was made of a route stays until the route or what it leads to changes.
  struct Opened {
    std::shared_ptr<const Route> route;
    std::uint64_t generation = 0;
    std::shared_ptr<models::Generator> generator;
    std::shared_ptr<RouteState> state;
  };
  Result<std::shared_ptr<models::Generator>> open(std::string_view project, std::string_view name, const Route& route, std::shared_ptr<RouteState> state, bool& whole);

  const DirectoryParts parts_;
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Opened, std::less<>> opened_;  // by project and name
};

}  // namespace stoa::gateway
