#include "governance/access/policy/policy_layers.h"

#include <algorithm>
#include <iterator>

namespace stoa::governance {
namespace {

bool restricts(const PolicyDecision& decision) { return decision.rule != nullptr && !decision.allowed; }

}  // namespace

PolicyDecision PolicyLayers::decide(const PolicyRequest& request) const {
  const PolicyDecision first = installation->decide(request);
  if (tenant == nullptr || restricts(first)) return first;
  const PolicyDecision second = tenant->decide(request);
  return restricts(second) || !first.allowed ? second : first;
}

PolicyDecision PolicyLayers::boundary(const PolicyRequest& request) const {
  const PolicyDecision first = installation->boundary(request);
  return tenant == nullptr || !first.allowed ? first : tenant->boundary(request);
}

PolicyExplanation PolicyLayers::explain(const PolicyRequest& request) const {
  PolicyExplanation out = installation->explain(request);
  if (tenant == nullptr) return out;
  PolicyExplanation more = tenant->explain(request);
  out.decision = decide(request);
  out.others += more.others;
  std::ranges::move(more.notes, std::back_inserter(out.notes));
  std::ranges::stable_sort(out.notes, {}, [](const RuleNote& note) { return note.rule->kind; });  // the kinds are in the order of the steps
  return out;
}

PolicyTestReport PolicyLayers::run_tests() const {
  PolicyTestReport report = installation->run_tests();
  if (tenant == nullptr) return report;
  PolicyTestReport more = run_policy_tests(tenant->files(), [this](const PolicyRequest& request) { return decide(request); });
  report.run += more.run;
  std::ranges::move(more.failures, std::back_inserter(report.failures));
  return report;
}

std::optional<std::uint64_t> PolicyLayers::role_actions(std::string_view role) const {
  auto actions = installation->role_actions(role);
  if (!actions && tenant != nullptr) actions = tenant->role_actions(role);
  return actions;
}

std::uint64_t PolicyLayers::asked(Action action) const { return installation->asked(action) | (tenant == nullptr ? 0 : tenant->asked(action)); }

}  // namespace stoa::governance
