#include "gateway/routing/directory.h"

#include "base/log.h"

namespace stoa::gateway {

Result<std::shared_ptr<models::Generator>> RouteDirectory::find(std::string_view project, std::string_view name) {
  std::shared_ptr<const Route> route = routes_.find(project, name);
  if (route == nullptr) {
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == name.size()) return nullptr;
    auto direct = std::make_shared<Route>();
    direct->targets.push_back({.provider = std::string(name.substr(0, slash)), .model = std::string(name.substr(slash + 1))});
    route = std::move(direct);
  }
  RouteParts parts{.name = std::string(name), .route = *route, .targets = {}, .fallback = {}, .health = health_, .permits = permits_};
  std::string missing;
  const auto open = [&](const std::vector<RouteTarget>& targets, std::vector<OpenTarget>& out) -> Status {
    for (const RouteTarget& target : targets) {
      auto generator = open_(project, target);
      if (generator) {
        // Models of this server are the same for all projects, those of providers are the project's.
        out.push_back({target, target.provider.empty() ? target.id() : fmt::format("{} {}", project, target.id()), std::move(*generator)});
      } else if (generator.error().code == ErrorCode::kNotFound) {
        missing += (missing.empty() ? "" : "; ") + generator.error().message;
      } else {
        return fail(std::move(generator).error());
      }
    }
    return {};
  };
  STOA_CHECK(open(route->targets, parts.targets));
  STOA_CHECK(open(route->fallback, parts.fallback));
  if (parts.targets.empty() && parts.fallback.empty())
    return fail(error(ErrorCode::kNotFound, "nothing answers for '{}': {}", name.substr(0, 200), missing).with_param("model").with_hint("stoa models list, stoa providers list and stoa routes list show what there is"));
  if (!missing.empty()) log(LogLevel::kDebug, "a route lacks some of its targets", {{"route", std::string(name)}, {"missing", missing}});
  return std::make_shared<RoutedGenerator>(std::move(parts));
}

}  // namespace stoa::gateway
