// What changes from one text of policies to another, by rule.
#include <map>

#include "governance/policies/policies.h"

namespace stoa::governance {
namespace {

using RuleName = std::pair<std::string, std::string>;  // kind and name

Result<std::map<RuleName, std::string>> rules_of(std::string_view text, std::string_view name) {
  STOA_TRY(file, parse_policies(text, name));
  std::map<RuleName, std::string> rules;
  for (auto& rule : file.rules) {
    const std::string kind = rule.kind == RuleKind::kRole ? "role" : rule.kind == RuleKind::kBoundary ? "boundary" : "policy";
    PolicyFile alone{.name = {}, .rules = {rule}, .tests = {}};
    rules.emplace(RuleName{kind, rule.name}, print_policies(alone));
  }
  return rules;
}

}  // namespace

Result<std::vector<RuleChange>> compare_policies(std::string_view before, std::string_view after) {
  STOA_TRY(old_rules, rules_of(before, "before"));
  STOA_TRY(new_rules, rules_of(after, "after"));
  std::vector<RuleChange> changes;
  for (const auto& [id, text] : old_rules) {
    const auto found = new_rules.find(id);
    if (found == new_rules.end())
      changes.push_back({id.first, id.second, text, ""});
    else if (found->second != text)
      changes.push_back({id.first, id.second, text, found->second});
  }
  for (const auto& [id, text] : new_rules)
    if (!old_rules.contains(id)) changes.push_back({id.first, id.second, "", text});
  return changes;
}

}  // namespace stoa::governance
