// The policies that hold for one tenant: the installation's, and beside them the tenant's own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "governance/access/policy/policy_set.h"

namespace stoa::governance {

// Decides as one set would in which, within each step, the installation's rules stand first: a forbid or boundary of either denies, so a
// tenant can take away from what the installation leaves and never get past it. Cheap to copy; the sets live as long as one copy does.
struct PolicyLayers {
  std::shared_ptr<const PolicySet> installation;  // never null
  std::shared_ptr<const PolicySet> tenant{};      // null: it has none of its own

  PolicyDecision decide(const PolicyRequest& request) const;
  PolicyDecision boundary(const PolicyRequest& request) const;
  PolicyExplanation explain(const PolicyRequest& request) const;
  PolicyTestReport run_tests() const;  // the installation's by themselves, then the tenant's with both
  std::optional<std::uint64_t> role_actions(std::string_view role) const;
  std::uint64_t asked(Action action) const;
};

// The tests of `files`, each put to `decide`.
PolicyTestReport run_policy_tests(std::span<const PolicyFile> files, const std::function<PolicyDecision(const PolicyRequest&)>& decide);

}  // namespace stoa::governance
