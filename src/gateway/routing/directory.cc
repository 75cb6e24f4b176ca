#include "gateway/routing/directory.h"

#include <algorithm>

#include "base/log.h"

namespace stoa::gateway {
namespace {

// "provider/model" as a route of its own; null for a name that is not of that form.
std::shared_ptr<const Route> direct_route(std::string_view name) {
  const std::size_t slash = name.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == name.size()) return nullptr;
  auto direct = std::make_shared<Route>();
  direct->targets.push_back({.provider = std::string(name.substr(0, slash)), .model = std::string(name.substr(slash + 1))});
  return direct;
}

}  // namespace

Result<std::shared_ptr<models::Generator>> RouteDirectory::find(std::string_view project, std::string_view name) {
  const std::shared_ptr<const Route> stored = parts_.routes.find(project, name);
  const std::uint64_t generation = parts_.generation ? parts_.generation() : 0;
  const std::pair key{std::string(project), std::string(name)};
  std::shared_ptr<RouteState> state;
  {
    std::lock_guard lock(mutex_);
    if (const auto known = opened_.find(key); known != opened_.end()) {
      if (known->second.route == stored && known->second.generation == generation && parts_.generation) return known->second.generator;
      state = known->second.state;  // what was learned outlives a version
    }
  }
  const std::shared_ptr<const Route> route = stored != nullptr ? stored : direct_route(name);
  if (route == nullptr) return nullptr;
  if (state == nullptr) state = std::make_shared<RouteState>();
  bool whole = true;
  STOA_TRY(generator, open(project, name, *route, state, whole));
  std::lock_guard lock(mutex_);
  if (opened_.size() >= kMostOpen && !opened_.contains(key)) opened_.clear();
  // What lacks some of its targets is looked for again with the next request.
  if (whole) opened_[key] = {stored, generation, generator, std::move(state)};
  else opened_.erase(key);
  return generator;
}

Result<std::shared_ptr<models::Generator>> RouteDirectory::open(std::string_view project, std::string_view name, const Route& route, std::shared_ptr<RouteState> state, bool& whole) {
  RouteParts parts{.name = std::string(name), .route = route, .targets = {}, .fallback = {}, .health = parts_.health, .state = std::move(state), .hooks = parts_.hooks};
  std::string missing;
  const auto open_one = [&](const RouteTarget& target) -> Result<std::optional<OpenTarget>> {
    auto place = parts_.open(project, target);
    if (!place && place.error().code != ErrorCode::kNotFound) return fail(std::move(place).error());
    if (!place) {
      missing += (missing.empty() ? "" : "; ") + place.error().message;
      return std::optional<OpenTarget>();
    }
    return OpenTarget{target, target_key(project, target), std::move(place->generator), place->on_prem, std::move(place->residency)};
  };
  for (const auto& [from, to] : {std::pair(&route.targets, &parts.targets), {&route.fallback, &parts.fallback}})
    for (const RouteTarget& target : *from) {
      STOA_TRY(opened, open_one(target));
      if (opened) to->push_back(std::move(*opened));
    }
  if (parts.targets.empty() && parts.fallback.empty())
    return fail(error(ErrorCode::kNotFound, "nothing answers for '{}': {}", name.substr(0, 200), missing).with_param("model").with_hint("stoa models list, stoa providers list and stoa routes list show what there is"));
  for (const auto& [wanted, to] : {std::pair(route.mirror ? &route.mirror->target : nullptr, &parts.mirror), {route.canary ? &route.canary->target : nullptr, &parts.canary}}) {
    if (wanted == nullptr) continue;
    STOA_TRY(opened, open_one(*wanted));
    *to = std::move(opened);
  }
  whole = missing.empty();
  if (!whole) log(LogLevel::kDebug, "a route lacks some of its targets", {{"route", std::string(name)}, {"missing", missing}});
  return std::make_shared<RoutedGenerator>(std::move(parts));
}

}  // namespace stoa::gateway
