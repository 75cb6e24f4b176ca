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
constexpr std::array<std::string_view, 5> kChoices{"weighted", "latency", "ordered", "cost", "prefix"};
constexpr std::string_view kTag = "tag:";

bool is_name(std::string_view name) {
  const auto plain = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const auto allowed = [&](unsigned char c) { return plain(c) || c == '.' || c == '_' || c == ':' || c == '-'; };
  return !name.empty() && name.size() <= kMaxName && plain(static_cast<unsigned char>(name.front())) && std::ranges::all_of(name, allowed);
}

// Leaves `out` as it is where the key is absent.
template <class Number>
Status read_number(const YamlNode& node, std::string_view key, std::int64_t least, std::int64_t most, Number& out) {
  const YamlNode* value = node.find(key);
  if (value == nullptr) return {};
  STOA_TRY(number, value->integer(least, most));
  out = static_cast<int>(number);
  return {};
}

// The keys of a target within those of `node`; other keys are whoever calls's.
Result<RouteTarget> read_target(const YamlNode& node) {
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
  return target;
}

Result<RouteTarget> read_weighted_target(const YamlNode& node) {
  constexpr std::array<std::string_view, 3> kKeys{"provider", "model", "weight"};
  STOA_CHECK(node.only(kKeys));
  STOA_TRY(target, read_target(node));
  STOA_CHECK(read_number(node, "weight", 0, kMaxWeight, target.weight));
  return target;
}

Status read_targets(const YamlNode* node, std::vector<RouteTarget>& out) {
  if (node == nullptr || node->is_null()) return {};
  if (node->kind() != YamlNode::Kind::kSequence) return fail(node->wrong("a list of targets is expected, each with 'model' and perhaps 'provider'"));
  if (node->items().size() > Route::kMaxTargets) return fail(node->wrong(fmt::format("{} targets, and a route has at most {}", node->items().size(), Route::kMaxTargets)));
  for (const YamlNode& item : node->items()) {
    STOA_TRY(target, read_weighted_target(item));
    out.push_back(std::move(target));
  }
  return {};
}

Status read_sticky(const YamlNode& root, Route& route) {
  const YamlNode* node = root.find("sticky");
  if (node == nullptr) return {};
  STOA_TRY(text, node->text());
  if (text == "false") return {};
  if (route.choose != Route::Choice::kWeighted) return fail(node->wrong("only weighted targets can be sticky"));
  if (text.starts_with(kTag) && text.size() > kTag.size() && text.size() <= kMaxName)
    route.sticky_tag = text.substr(kTag.size());
  else if (text != "caller" && text != "true")
    return fail(node->wrong(fmt::format("'{}' is nothing that targets stick to: caller, or tag:NAME", text.substr(0, 100))));
  route.sticky = true;
  return {};
}

Status read_hedge(const YamlNode* node, Route& route) {
  if (node == nullptr) return {};
  constexpr std::array<std::string_view, 2> kKeys{"after_ms", "percent"};
  STOA_CHECK(node->only(kKeys));
  STOA_CHECK(node->at("after_ms"));
  RouteHedge hedge;
  int after = 0;
  STOA_CHECK(read_number(*node, "after_ms", 1, 600'000, after));
  STOA_CHECK(read_number(*node, "percent", 1, 100, hedge.percent));
  hedge.after = milliseconds(after);
  route.hedge = hedge;
  return {};
}

Status read_mirror(const YamlNode* node, Route& route) {
  if (node == nullptr) return {};
  constexpr std::array<std::string_view, 3> kKeys{"provider", "model", "percent"};
  STOA_CHECK(node->only(kKeys));
  STOA_TRY(target, read_target(*node));
  RouteMirror mirror{.target = std::move(target)};
  STOA_CHECK(read_number(*node, "percent", 1, 100, mirror.percent));
  route.mirror = std::move(mirror);
  return {};
}

Result<TargetSelector> read_selector(const YamlNode& node) {
  constexpr std::string_view kProvider = "provider:", kRegion = "region:";
  STOA_TRY(text, node.text());
  if (text.empty() || text.size() > 2 * kMaxName) return fail(node.wrong("a selector is on_prem, region:NAME, provider:NAME, or a target"));
  if (text == "on_prem") return TargetSelector{TargetSelector::Kind::kOnPrem, {}};
  if (text.starts_with(kProvider)) return TargetSelector{TargetSelector::Kind::kProvider, text.substr(kProvider.size())};
  if (text.starts_with(kRegion)) return TargetSelector{TargetSelector::Kind::kRegion, text.substr(kRegion.size())};
  return TargetSelector{TargetSelector::Kind::kTarget, text};
}

Result<RouteRule> read_rule(const YamlNode& node) {
  constexpr std::array<std::string_view, 5> kKeys{"when", "only", "never", "prefer", "because"};
  constexpr std::array<std::string_view, 3> kEffects{"only", "never", "prefer"};
  STOA_CHECK(node.only(kKeys));
  RouteRule rule;
  STOA_TRY(when, node.at("when"));
  STOA_TRY(condition, when->text());
  STOA_TRY(compiled, RuleCondition::parse(condition, when->where()));
  rule.when = std::move(compiled);
  const YamlNode* targets = nullptr;
  for (std::size_t i = 0; i < kEffects.size(); ++i) {
    const YamlNode* found = node.find(kEffects[i]);
    if (found == nullptr) continue;
    if (targets != nullptr) return fail(found->wrong("a rule has one of 'only', 'never' and 'prefer'"));
    targets = found;
    rule.effect = static_cast<RouteRule::Effect>(i);
  }
  if (targets == nullptr || targets->kind() != YamlNode::Kind::kSequence || targets->items().empty() || targets->items().size() > Route::kMaxTargets)
    return fail((targets == nullptr ? node : *targets).wrong("a rule needs 'only', 'never' or 'prefer' with a list of selectors"));
  for (const YamlNode& item : targets->items()) {
    STOA_TRY(selector, read_selector(item));
    rule.targets.push_back(std::move(selector));
  }
  if (const YamlNode* because = node.find("because")) {
    STOA_TRY(text, because->text());
    if (text.size() > kMaxDescription) return fail(because->wrong(fmt::format("a reason has at most {} bytes", kMaxDescription)));
    rule.because = std::move(text);
  }
  return rule;
}

Status read_rules(const YamlNode* node, Route& route) {
  if (node == nullptr || node->is_null()) return {};
  if (node->kind() != YamlNode::Kind::kSequence || node->items().size() > Route::kMaxRules) return fail(node->wrong(fmt::format("a list of at most {} rules is expected", Route::kMaxRules)));
  for (const YamlNode& item : node->items()) {
    STOA_TRY(rule, read_rule(item));
    route.rules.push_back(std::move(rule));
  }
  return {};
}

Status read_gates(const YamlNode* node, CanaryGates& gates) {
  if (node == nullptr) return {};
  constexpr std::array<std::string_view, 4> kKeys{"failures_percent", "first_piece_ms", "slower_percent", "good_ratings_percent"};
  STOA_CHECK(node->only(kKeys));
  STOA_CHECK(read_number(*node, kKeys[0], 0, 100, gates.failures_percent));
  STOA_CHECK(read_number(*node, kKeys[1], 1, 600'000, gates.first_piece_ms));
  STOA_CHECK(read_number(*node, kKeys[2], 0, 10'000, gates.slower_percent));
  return read_number(*node, kKeys[3], 0, 100, gates.good_ratings_percent);
}

Status read_canary(const YamlNode* node, Route& route) {
  if (node == nullptr) return {};
  constexpr std::array<std::string_view, 6> kKeys{"provider", "model", "steps", "minutes", "requests", "gates"};
  constexpr std::size_t kMostSteps = 16;
  STOA_CHECK(node->only(kKeys));
  STOA_TRY(target, read_target(*node));
  RouteCanary canary{.target = std::move(target), .steps = {}, .gates = {}};
  STOA_TRY(steps, node->at("steps"));
  if (steps->kind() != YamlNode::Kind::kSequence || steps->items().empty() || steps->items().size() > kMostSteps) return fail(steps->wrong(fmt::format("1 to {} steps are expected, in percent", kMostSteps)));
  for (const YamlNode& item : steps->items()) {
    STOA_TRY(percent, item.integer(canary.steps.empty() ? 1 : canary.steps.back() + 1, 100));
    canary.steps.push_back(static_cast<int>(percent));
  }
  if (canary.steps.back() != 100) return fail(steps->wrong("the last step has to be 100"));
  int minutes = static_cast<int>(canary.least.count());
  STOA_CHECK(read_number(*node, "minutes", 0, 60 * 24 * 30, minutes));
  canary.least = std::chrono::minutes(minutes);
  STOA_CHECK(read_number(*node, "requests", 1, 1'000'000, canary.requests));
  STOA_CHECK(read_gates(node->find("gates"), canary.gates));
  route.canary = std::move(canary);
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
  if (route.canary && !seen.insert(route.canary->target.id()).second) return fail(root.wrong(fmt::format("the canary '{}' is one of the other targets", route.canary->target.id())));
  return {};
}

}  // namespace

Result<std::shared_ptr<const RuleCondition>> RuleCondition::parse(std::string_view text, std::string_view name) {
  STOA_TRY(condition, governance::parse_condition(text, name));
  return std::shared_ptr<const RuleCondition>(new RuleCondition(std::move(condition)));
}

Status check_route_name(std::string_view name) {
  if (is_name(name)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "'{}' cannot name a route: 1 to {} letters, digits and ._:- are allowed, a letter or digit first", name.substr(0, 150), kMaxName).with_param("name"));
}

Result<Route> parse_route(std::string_view text, std::string_view name) {
  STOA_TRY(root, infra::parse_yaml(text, name, {.max_bytes = kMaxText, .max_depth = 6, .max_nodes = 1024}));
  if (root.kind() != YamlNode::Kind::kMap) return fail(root.wrong("a route is a map with 'targets'"));
  constexpr std::array<std::string_view, 13> kKeys{"description", "choose", "sticky", "saturated", "attempts", "retries", "retry_percent", "hedge", "targets", "fallback", "mirror", "rules", "canary"};
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
    if (found == kChoices.end()) return fail(node->wrong(fmt::format("'{}' is no way to choose: weighted, latency, ordered, cost or prefix", choice.substr(0, 100))));
    route.choose = static_cast<Route::Choice>(found - kChoices.begin());
  }
  STOA_CHECK(read_sticky(root, route));
  STOA_CHECK(read_number(root, "saturated", 1, 100'000, route.saturated));
  STOA_CHECK(read_number(root, "attempts", 1, Route::kMaxAttempts, route.attempts));
  STOA_CHECK(read_number(root, "retries", 0, Route::kMaxRetries, route.retries));
  STOA_CHECK(read_number(root, "retry_percent", 0, 100, route.retry_percent));
  STOA_CHECK(read_hedge(root.find("hedge"), route));
  STOA_CHECK(read_mirror(root.find("mirror"), route));
  STOA_CHECK(read_rules(root.find("rules"), route));
  STOA_CHECK(read_canary(root.find("canary"), route));
  STOA_CHECK(read_targets(root.find("targets"), route.targets));
  STOA_CHECK(read_targets(root.find("fallback"), route.fallback));
  STOA_CHECK(check_targets(route, root));
  return route;
}

}  // namespace stoa::gateway
