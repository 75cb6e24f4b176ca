#include "gateway/routing/choice.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "gateway/routing/canary.h"

namespace stoa::gateway {
namespace {

using governance::Attribute;
using governance::Truth;
using Order = std::vector<const OpenTarget*>;

bool selects(const TargetSelector& selector, const OpenTarget& target) {
  switch (selector.kind) {
    case TargetSelector::Kind::kTarget: return target.target.id() == selector.name;
    case TargetSelector::Kind::kProvider: return target.target.provider == selector.name;
    case TargetSelector::Kind::kRegion: return target.residency == selector.name;
    case TargetSelector::Kind::kOnPrem: return target.on_prem;
  }
  return false;
}

bool selects_any(const RouteRule& rule, const OpenTarget& target) {
  return std::ranges::any_of(rule.targets, [&](const TargetSelector& selector) { return selects(selector, target); });
}

// What the caller's requests have in common, for targets that stick.
std::string_view stuck_to(const RouteParts& parts, const Call& call) {
  if (parts.route.sticky_tag.empty()) return call.principal.id;
  const std::string key = parts.route.sticky_tag + "=";
  for (const std::string& tag : call.origin.tags)
    if (tag.starts_with(key)) return std::string_view(tag).substr(key.size());
  return call.principal.id;
}

// Efraimidis and Spirakis: sorting by -ln(u) / weight draws without replacement in proportion to the weights. With a `u` that hangs on caller and target
// (rendezvous hashing) the draw is always the same for one caller, and hardly changes when a target comes or goes.
void sort_weighted(const RouteParts& parts, const Call& call, Order& order) {
  std::vector<std::pair<double, const OpenTarget*>> keyed;
  for (const OpenTarget* target : order) {
    const double u = parts.route.sticky ? fraction_of(parts.name, stuck_to(parts, call), target->target.id()) : std::max(chance(), 1e-300);
    keyed.emplace_back(target->target.weight == 0 ? 1e300 : -std::log(u) / target->target.weight, target);
  }
  std::ranges::stable_sort(keyed, {}, &std::pair<double, const OpenTarget*>::first);
  std::ranges::transform(keyed, order.begin(), &std::pair<double, const OpenTarget*>::second);
}

void shuffle(Order& order) {
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[static_cast<std::size_t>(chance() * static_cast<double>(i))]);
}

// The better of two that chance picked: nearly as good as the best of all, and callers that choose at the same time do not all choose the same.
void sort_by_latency(const RouteParts& parts, Order& order) {
  shuffle(order);
  if (order.size() > 1 && parts.health.cost(order[1]->key) < parts.health.cost(order[0]->key)) std::swap(order[0], order[1]);
}

// Price times the tokens that are expected, over the part of the requests that the target answers at all: what an answer costs there. Where prices do not
// differ by more than kEqual, the faster one is first. Targets without a price come last.
void sort_by_cost(const RouteParts& parts, const ChatRequest& request, SteadyTime now, Order& order) {
  constexpr double kEqual = 0.02, kLeastAvailability = 0.01;
  sort_by_latency(parts, order);
  std::vector<std::pair<double, const OpenTarget*>> priced;
  for (const OpenTarget* target : order) {
    Usage usage = parts.state->expected(target->target.id());
    if (const auto tokens = target->generator->count_prompt_tokens(request)) usage.prompt_tokens = *tokens;
    if (request.max_tokens > 0) usage.completion_tokens = std::min<std::int64_t>(usage.completion_tokens, request.max_tokens);
    const auto price = parts.hooks.price ? parts.hooks.price(target->target.id(), usage) : std::nullopt;
    const double availability = std::max(kLeastAvailability, parts.health.state(target->key, now).availability);
    priced.emplace_back(price ? *price / availability : 1e300, target);
  }
  std::ranges::stable_sort(priced, [](const auto& a, const auto& b) { return a.first < b.first * (1 - kEqual); });
  std::ranges::transform(priced, order.begin(), &std::pair<double, const OpenTarget*>::second);
}

// The target that was sent most of the prompt before, as long as it has room.
void sort_by_prefix(const RouteParts& parts, const Call& call, const ChatRequest& request, SteadyTime now, Order& order) {
  sort_by_latency(parts, order);
  const auto blocks = PrefixTable::blocks(request, call.principal.tenant);
  const auto key = [&](const OpenTarget* target) {
    const bool saturated = parts.health.state(target->key, now).under_way >= parts.route.saturated;
    return std::pair(saturated, saturated ? 0 : -static_cast<std::int64_t>(parts.state->prefixes().matched(target->key, blocks)));
  };
  std::vector<std::pair<std::pair<bool, std::int64_t>, const OpenTarget*>> keyed;
  for (const OpenTarget* target : order) keyed.emplace_back(key(target), target);
  std::ranges::stable_sort(keyed, {}, [](const auto& each) { return each.first; });
  std::ranges::transform(keyed, order.begin(), [](const auto& each) { return each.second; });
}

}  // namespace

// FNV-1a, mixed once more (splitmix64) so that names that differ in one letter give unlike numbers; as a fraction of 1, never 0.
double fraction_of(std::string_view a, std::string_view b, std::string_view c) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::string_view part : {a, b, c}) {
    for (const char byte : part) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  }
  hash = (hash ^ (hash >> 30)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27)) * 0x94d049bb133111eb;
  hash ^= hash >> 31;
  return (static_cast<double>(hash >> 11) + 0.5) / static_cast<double>(std::uint64_t{1} << 53);
}

double chance() {
  thread_local std::mt19937_64 random{(static_cast<std::uint64_t>(std::random_device{}()) << 32) ^ std::random_device{}()};
  return std::generate_canonical<double, 53>(random);
}

RuleVerdicts::RuleVerdicts(const RouteParts& parts, const Call& call, const ChatRequest& request) : route_(parts.name) {
  const auto& rules = parts.route.rules;
  if (rules.empty()) return;
  std::uint64_t asked = 0;
  for (const RouteRule& rule : rules) asked |= rule.when->asked();
  const auto resource = governance::Resource::of(call.principal, "route", parts.name);
  auto attributes = parts.hooks.access != nullptr ? parts.hooks.access->request(call, governance::Action::kModelUse, resource, asked)
                                                  : governance::PolicyRequest::of(call.principal, governance::Action::kModelUse, resource);
  if (asked & governance::attribute_bit(Attribute::kContextTokens)) {
    const OpenTarget& target = parts.targets.empty() ? parts.fallback.front() : parts.targets.front();
    if (const auto tokens = target.generator->count_prompt_tokens(request)) attributes.set_integer(Attribute::kContextTokens, *tokens);
  }
  for (const RouteRule& rule : rules) {
    const Truth truth = rule.when->truth(attributes);
    if (truth == Truth::kYes || (truth == Truth::kUnknown && rule.effect != RouteRule::Effect::kPrefer)) holding_.push_back(&rule);
  }
}

Status RuleVerdicts::allows(const OpenTarget& target) const {
  for (const RouteRule* rule : holding_) {
    if (rule->effect == RouteRule::Effect::kPrefer || selects_any(*rule, target) == (rule->effect == RouteRule::Effect::kOnly)) continue;
    return fail(error(ErrorCode::kPermissionDenied, "a rule of the route '{}' keeps this request from '{}'{}{}", route_, target.target.id(), rule->because.empty() ? "" : ": ", rule->because)
                    .with_param("model"));
  }
  return {};
}

bool RuleVerdicts::prefers(const OpenTarget& target) const {
  return std::ranges::any_of(holding_, [&](const RouteRule* rule) { return rule->effect == RouteRule::Effect::kPrefer && selects_any(*rule, target); });
}

std::vector<const OpenTarget*> choose_targets(const RouteParts& parts, const Call& call, const ChatRequest& request, const RuleVerdicts& rules, SteadyTime now, std::optional<Error>& refused) {
  const auto allowed = [&](const OpenTarget& target) {
    Status status = rules.allows(target);
    if (!status && !refused) refused = std::move(status).error();
    return status.has_value();
  };
  Order order, rest;
  for (const OpenTarget& target : parts.targets)
    if (allowed(target)) order.push_back(&target);
  for (const OpenTarget& target : parts.fallback)
    if (allowed(target)) rest.push_back(&target);
  switch (parts.route.choose) {
    case Route::Choice::kWeighted: sort_weighted(parts, call, order); break;
    case Route::Choice::kLatency: sort_by_latency(parts, order); break;
    case Route::Choice::kOrdered: break;
    case Route::Choice::kCost: sort_by_cost(parts, request, now, order); break;
    case Route::Choice::kPrefix: sort_by_prefix(parts, call, request, now, order); break;
  }
  if (parts.canary && parts.hooks.canaries != nullptr && allowed(*parts.canary)) {
    const int percent = parts.hooks.canaries->percent(call.principal, parts.name, parts.route);
    const double u = parts.route.sticky ? fraction_of(parts.name, stuck_to(parts, call), "canary") : chance();
    if (u * 100 < percent) order.insert(order.begin(), &*parts.canary);
  }
  order.insert(order.end(), rest.begin(), rest.end());
  std::ranges::stable_partition(order, [&](const OpenTarget* target) { return rules.prefers(*target); });
  return order;
}

}  // namespace stoa::gateway
