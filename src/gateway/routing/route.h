// A route: a name that callers use as a model, and what answers for it. Written as data (YAML, of which JSON is a part):
//
//   description: cheap first, a stronger one when that fails
//   choose: weighted          # weighted (default) | latency | ordered | cost | prefix
//   sticky: caller            # weighted: the same caller (or, with tag:session, the same tag of x-stoa-tags) gets the same target, as long as it works
//   saturated: 8              # prefix: with so many requests under way a target is passed over, whatever it has in its cache
//   attempts: 3               # targets that are asked for one request, at most
//   retries: 1                # times that all of them are asked again, after a pause
//   retry_percent: 20         # of the requests may be asked again like that, besides a few in each second
//   hedge: {after_ms: 800, percent: 5}   # ask a second target when the first is slow; of the requests, at most
//   targets:
//     - model: smollm2-135m-instruct        # of this server
//       weight: 9
//     - provider: openrouter                # of a provider (stoa providers)
//       model: llama-3.3-70b
//   fallback:                 # tried in this order when all targets have failed
//     - provider: openai
//       model: gpt-4o-mini
//   mirror: {provider: lab, model: candidate, percent: 10}   # is asked the same, and its answers are thrown away: to see how it does
//   rules:                    # the language of policies; what a condition asks for and is not known makes only/never hold and prefer not
//     - when: context.data_class == "restricted"
//       only: [on_prem]       # selectors: on_prem, region:NAME, provider:NAME, or a target as PROVIDER/MODEL or MODEL
//       because: restricted prompts stay in the house
//     - when: context.tokens > 8000
//       prefer: [openai/gpt-4o-mini]        # before the others
//   canary:                   # takes a growing part of the requests, until it has them all or is given up
//     provider: openai
//     model: gpt-5-mini
//     steps: [5, 25, 50, 100]               # percent of the requests
//     minutes: 10                           # at each step, at least
//     requests: 100                         # that it has answered at a step, at least
//     gates: {failures_percent: 2, first_piece_ms: 2000, slower_percent: 50, good_ratings_percent: 70}
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "governance/access/policy/condition.h"

namespace stoa::gateway {

struct RouteTarget {
  std::string provider;  // empty: a model of this server
  std::string model;     // as the provider, or this server, calls it
  int weight = 1;        // 0: chosen only when the others have failed

  std::string id() const { return provider.empty() ? model : provider + "/" + model; }
};

// A condition in the language of policies, read and compiled. Immutable.
class RuleCondition {
 public:
  // Errors name "NAME:line:column" within the condition.
  static Result<std::shared_ptr<const RuleCondition>> parse(std::string_view text, std::string_view name);
  governance::Truth truth(const governance::PolicyRequest& request) const { return compiled_.truth(at_, request); }
  std::uint64_t asked() const { return asked_; }  // attribute bits

 private:
  explicit RuleCondition(governance::Condition condition) : condition_(std::move(condition)), at_(compiled_.add(condition_)), asked_(governance::Conditions::asked(condition_)) {}
  const governance::Condition condition_;  // which `compiled_` views
  governance::Conditions compiled_;
  const std::uint32_t at_;
  const std::uint64_t asked_;
};

// Some of the targets.
struct TargetSelector {
  enum class Kind : std::uint8_t { kTarget, kProvider, kRegion, kOnPrem };
  Kind kind = Kind::kTarget;
  std::string name;
};

struct RouteRule {
  enum class Effect : std::uint8_t { kOnly, kNever, kPrefer };
  std::shared_ptr<const RuleCondition> when;
  Effect effect = Effect::kOnly;
  std::vector<TargetSelector> targets;
  std::string because;  // may be empty
};

struct RouteHedge {
  milliseconds after{0};
  int percent = 5;  // of the requests, at most
};

struct RouteMirror {
  RouteTarget target;
  int percent = 100;
};

// What has to hold for a canary to go on. Absent: not looked at.
struct CanaryGates {
  std::optional<int> failures_percent;      // at most
  std::optional<int> first_piece_ms;        // 95th percentile, at most
  std::optional<int> slower_percent;        // than the 95th percentile of the others, at most
  std::optional<int> good_ratings_percent;  // of the ratings of its answers, at least
};

struct RouteCanary {
  RouteTarget target;
  std::vector<int> steps;  // percent, ascending, the last 100
  std::chrono::minutes least{10};
  int requests = 100;
  CanaryGates gates;
};

struct Route {
  enum class Choice : std::uint8_t { kWeighted, kLatency, kOrdered, kCost, kPrefix };
  static constexpr std::size_t kMaxTargets = 16, kMaxRules = 32;
  static constexpr int kMaxAttempts = 8, kMaxRetries = 3;

  std::int64_t version = 0;           // of the store; 0: from nowhere
  std::string description;
  Choice choose = Choice::kWeighted;
  bool sticky = false;
  std::string sticky_tag;             // empty: the caller is what sticks
  int saturated = 8;
  int attempts = 3;
  int retries = 0;
  int retry_percent = 20;
  std::optional<RouteHedge> hedge;
  std::vector<RouteTarget> targets;   // at least one
  std::vector<RouteTarget> fallback;  // with the targets at most kMaxTargets
  std::optional<RouteMirror> mirror;
  std::vector<RouteRule> rules;
  std::optional<RouteCanary> canary;
};

// 1 to 128 letters, digits and ._:-; not beginning with one of those signs. kInvalidArgument with the parameter "name".
Status check_route_name(std::string_view name);
// Errors name "NAME:line", the value and what is allowed.
Result<Route> parse_route(std::string_view text, std::string_view name);

}  // namespace stoa::gateway
