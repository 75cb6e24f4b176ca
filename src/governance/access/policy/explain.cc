// What people ask of a policy set: why a decision came out as it did, and whether the tests in its files hold.
#include <algorithm>

#include "governance/access/policy/policy_layers.h"

namespace stoa::governance {
namespace {

PolicyRequest request_of(const PolicyTest& test) {
  PolicyRequest request(test.action);
  for (const auto& [attribute, value] : test.fields) request.set(attribute, value);
  return request;
}

// What is wrong with a decision, or nothing.
std::string complaint(const PolicyTest& test, const PolicyDecision& decision) {
  std::string wanted = test.permit ? "permit" : "deny";
  bool right = decision.allowed == test.permit;
  const bool role = decision.rule != nullptr && decision.rule->kind == RuleKind::kRole;
  switch (test.by) {
    case PolicyTest::By::kAnything: break;
    case PolicyTest::By::kRule:
      wanted += fmt::format(" by \"{}\"", test.by_name);
      right &= decision.rule != nullptr && !role && decision.rule->name == test.by_name;
      break;
    case PolicyTest::By::kRole:
      wanted += fmt::format(" by role \"{}\"", test.by_name);
      right &= role && decision.rule->name == test.by_name;
      break;
    case PolicyTest::By::kDefault:
      wanted += " by default";
      right &= decision.rule == nullptr;
      break;
  }
  if (right) return {};
  return fmt::format("{} was expected, but it is {}: {}", wanted, decision.allowed ? "permitted" : "denied", decision.reason());
}

}  // namespace

RuleNote PolicySet::note(RuleIndex index, const PolicyRequest& request) const {
  const auto& [rule, file, condition] = rules_[index];
  RuleNote note{.rule = rule, .where = fmt::format("{}:{}", file->name, rule->place.line), .applies = true, .why = {}};
  if (rule->kind == RuleKind::kRole) {
    note.why = fmt::format("the caller has the role {}", rule->name);
    return note;
  }
  const Truth result = truth(index, request);
  const bool restricts = rule->kind != RuleKind::kPermit;
  note.applies = restricts ? result != Truth::kNo : result == Truth::kYes;
  note.why = rule->when ? conditions_.why(*rule->when, condition, request) : "it has no condition";
  if (result == Truth::kUnknown) note.why += restricts ? "; what is not known counts as matching here" : "; what is not known permits nothing";
  return note;
}

PolicyExplanation PolicySet::explain(const PolicyRequest& request) const {
  PolicyExplanation out;
  out.decision = decide(request);
  const auto& role = request.get(Attribute::kPrincipalRole);
  for (const RuleKind kind : {RuleKind::kForbid, RuleKind::kBoundary, RuleKind::kRole, RuleKind::kPermit})
    for (RuleIndex i = 0; i < rules_.size(); ++i) {
      const Rule& rule = *rules_[i].rule;
      if (rule.kind != kind) continue;
      bool about = rule.actions.has(request.action()) != (kind == RuleKind::kBoundary);
      if (kind == RuleKind::kRole) about &= role.known && role.text == rule.name;
      if (about)
        out.notes.push_back(note(i, request));
      else
        ++out.others;
    }
  return out;
}

PolicyTestReport run_policy_tests(std::span<const PolicyFile> files, const std::function<PolicyDecision(const PolicyRequest&)>& decide) {
  PolicyTestReport report;
  for (const auto& file : files)
    for (const auto& test : file.tests) {
      ++report.run;
      std::string wrong = complaint(test, decide(request_of(test)));
      if (!wrong.empty()) report.failures.push_back({fmt::format("{}:{}", file.name, test.place.line), test.name, std::move(wrong)});
    }
  return report;
}

PolicyTestReport PolicySet::run_tests() const {
  return run_policy_tests(files_, [this](const PolicyRequest& request) { return decide(request); });
}

}  // namespace stoa::governance
