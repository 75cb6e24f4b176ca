// Policies as JSON, for the routes and for the verbs that act on the data folder.
#pragma once

#include "base/json.h"
#include "governance/policies/policies.h"

namespace stoa::gateway::admin {

JsonObject policy_json(const governance::PolicyVersion& version, bool text);
JsonObject policies_json(const std::vector<governance::PolicyVersion>& versions);  // {"object": "list", "data": [...]} without texts
JsonObject rule_changes_json(const std::vector<governance::RuleChange>& changes);
JsonObject dry_run_json(const governance::DryRun& run);

}  // namespace stoa::gateway::admin
