#include "gateway/routing/route_store.h"

#include "base/log.h"

namespace stoa::gateway {
namespace {

Status check_route(const governance::TextVersion& text) {
  if (text.project.empty()) return fail(ErrorCode::kInvalidArgument, "routes belong to projects");
  STOA_CHECK(parse_route(text.text, text.name));
  return {};
}

}  // namespace

Result<std::unique_ptr<RouteStore>> RouteStore::open(infra::SqlDatabase& database, governance::AuditLog& audit, const governance::Access& access, const Clock& clock) {
  auto store = std::make_unique<RouteStore>();
  STOA_TRY(texts, governance::VersionedTexts::open(database, audit, access,
                                                   {.noun = "route", .component = "gateway/routing", .table = "model_routes", .read = governance::Action::kModelList, .manage = governance::Action::kModelManage,
                                                    .check_name = check_route_name, .check_text = check_route},
                                                   clock));
  store->texts_ = std::move(texts);
  STOA_TRY(live, governance::LiveTexts<Routes>::open(*store->texts_, [](const std::vector<governance::TextVersion>& heads) {
             auto routes = std::make_shared<Routes>();
             for (const auto& head : heads) {
               if (auto route = parse_route(head.text, head.name)) {
                 route->version = head.version;
                 routes->emplace(std::pair(head.project, head.name), std::make_shared<const Route>(std::move(*route)));
               } else {  // of another release
                 log_error("a stored route cannot be read: nobody can use it", route.error(), {{"project", head.project}, {"route", head.name}});
               }
             }
             return routes;
           }));
  store->live_ = std::move(live);
  return store;
}

std::shared_ptr<const Route> RouteStore::find(std::string_view project, std::string_view name) {
  const auto routes = live_->current();
  const auto found = routes->find(std::pair(std::string(project), std::string(name)));
  return found == routes->end() ? nullptr : found->second;
}

std::vector<std::string> RouteStore::names(std::string_view project) {
  std::vector<std::string> names;
  const auto routes = live_->current();
  for (auto route = routes->lower_bound(std::pair(std::string(project), std::string())); route != routes->end() && route->first.first == project; ++route) names.push_back(route->first.second);
  return names;
}

}  // namespace stoa::gateway
