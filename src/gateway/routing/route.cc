#include "gateway/routing/route.h"

#include <algorithm>
#include <array>
#include <set>

#include "infra/config/yaml.h"

namespace stoa::gateway {
namespace {

using infra::YamlNode;

constexpr std::size_t kMaxName = 128, kMaxText = 64u << 10, kMaxDescription = 512;
constexpr std::int64_t kMaxWeight = 1'000'000;
constexpr std::array<std::string_view, 3> kChoices{"weighted", "latency", "ordered"};

bool is_name(std::string_view name) {
  const auto plain = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](unsigned char c) { return plain(c) || c == '.' || c == '_' || c == ':' || c == '-'; };
  return !name.empty() && name.size() <= kMaxName && plain(static_cast<unsigned char>(name.front())) && std::ranges::all_of(name, allowed);
}

Result<RouteTarget> read_target(const YamlNode& node) {
  constexpr std::array<std::string_view, 3> kKeys{"provider", "model", "weight"};
  STOA_CHECK(node.only(kKeys));
  RouteTarget target;
  STOA_TRY(model, node.at("model"));
  STOA_TRY(name, model->text());
  if (name.empty() || name.size() > kMaxName) return fail(model->wrong(fmt::format("a model has a name of 1 to {} characters", kMaxName)));
  target.model = std::move(name);
  if (const YamlNode* provider = node.find("provider")) {
    STOA_TRY(text, provider->text());
    if (!is_name(text)) return fail(provider->wrong(fmt::format("'{}' cannot name a provider", text.substr(0, 100))));
    target.provider = std::move(text);
  }
  if (const YamlNode* weight = node.find("weight")) {
    STOA_TRY(value, weight->integer(0, kMaxWeight));
    target.weight = static_cast<int>(value);
  }
  return target;
}

Status read_targets(const YamlNode* node, std::vector<RouteTarget>& out) {
  if (node == nullptr || node->is_null()) return {};
  if (node->kind() != YamlNode::Kind::kSequence) return fail(node->wrong("a list of targets is expected, each with 'model' and perhaps 'provider'"));
  if (node->items().size() > Route::kMaxTargets) return fail(node->wrong(fmt::format("{} targets, and a route has at most {}", node->items().size(), Route::kMaxTargets)));
  for (const YamlNode& item : node->items()) {
    STOA_TRY(target, read_target(item));
    out.push_back(std::move(target));
  }
  return {};
}

Status check_targets(const Route& route, const YamlNode& root) {
  if (route.targets.empty()) return fail(root.wrong("a route needs 'targets': at least one"));
  if (route.targets.size() + route.fallback.size() > Route::kMaxTargets)
    return fail(root.wrong(fmt::format("{} targets with those to fall back on, and a route has at most {}", route.targets.size() + route.fallback.size(), Route::kMaxTargets)));
  if (std::ranges::all_of(route.targets, [](const RouteTarget& target) { return target.weight == 0; })) return fail(root.wrong("every target has the weight 0: none would be chosen"));
  std::set<std::string> seen;
  for (const auto* list : {&route.targets, &route.fallback})
    for (const RouteTarget& target : *list)
      if (!seen.insert(target.id()).second) return fail(root.wrong(fmt::format("the target '{}' is there twice", target.id())));
  return {};
}

}  // namespace

Status check_route_name(std::string_view name) {
  if (is_name(name)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "'{}' cannot name a route: 1 to {} letters, digits and ._:- are allowed, a letter or digit first", name.substr(0, 150), kMaxName).with_param("name"));
}

Result<Route> parse_route(std::string_view text, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(text, name, {.max_bytes = kMaxText, .max_depth = 4, .max_nodes = 256}));
  if (root.kind() != YamlNode::Kind::kMap) return fail(root.wrong("a route is a map with 'targets'"));
  constexpr std::array<std::string_view, 6> kKeys{"description", "choose", "sticky", "attempts", "targets", "fallback"};
  STOA_CHECK(root.only(kKeys));
  Route route;
  if (const YamlNode* node = root.find("description")) {
    STOA_TRY(description, node->text());
    if (description.size() > kMaxDescription) return fail(node->wrong(fmt::format("a description has at most {} bytes", kMaxDescription)));
    route.description = std::move(description);
  }
  if (const YamlNode* node = root.find("choose")) {
    STOA_TRY(choice, node->text());
    const auto found = std::ranges::find(kChoices, choice);
    if (found == kChoices.end()) return fail(node->wrong(fmt::format("'{}' is no way to choose: weighted, latency or ordered", choice.substr(0, 100))));
    route.choose = static_cast<Route::Choice>(found - kChoices.begin());
  }
  if (const YamlNode* node = root.find("sticky")) {
    STOA_TRY(sticky, node->boolean());
    if (sticky && route.choose != Route::Choice::kWeighted) return fail(node->wrong("only weighted targets can be sticky"));
    route.sticky = sticky;
  }
  if (const YamlNode* node = root.find("attempts")) {
    STOA_TRY(attempts, node->integer(1, Route::kMaxAttempts));
    route.attempts = static_cast<int>(attempts);
  }
  STOA_CHECK(read_targets(root.find("targets"), route.targets));
  STOA_CHECK(read_targets(root.find("fallback"), route.fallback));
  STOA_CHECK(check_targets(route, root));
  return route;
}

}  // namespace stoa::gateway
