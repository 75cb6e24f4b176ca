// The canonical text of policies: one statement after the other, no parentheses that change nothing.
#include <string>

#include "governance/access/policy/policy.h"

namespace stoa::governance {
namespace {

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

std::string because(const Rule& rule) { return rule.because.empty() ? "" : fmt::format("\n  because {}", in_quotes(rule.because)); }

std::string print_rule(const Rule& rule) {
  const std::string name = in_quotes(rule.name), actions = joined(rule.actions.patterns);
  switch (rule.kind) {
    case RuleKind::kRole: return fmt::format("role {} {{ {} }}\n", name, actions);
    case RuleKind::kBoundary: {
      const std::string narrowed = rule.when ? fmt::format("  for {}\n", print_condition(*rule.when)) : "";
      return fmt::format("boundary {} {{\n{}  at most {}{}\n}}\n", name, narrowed, actions, because(rule));
    }
    case RuleKind::kForbid:
    case RuleKind::kPermit: break;
  }
  const std::string when = rule.when ? fmt::format("\n  when {}", print_condition(*rule.when)) : "";
  return fmt::format("policy {} {{\n  {} {}{}{}\n}}\n", name, rule.kind == RuleKind::kPermit ? "permit" : "forbid", actions, when, because(rule));
}

std::string print_test(const PolicyTest& test) {
  std::string out = fmt::format("test {} {{\n", in_quotes(test.name));
  std::string_view scope;
  for (const auto& [attribute, value] : test.fields) {
    const std::string_view name = attribute_info(attribute).name;
    const std::size_t dot = name.find('.');
    if (name.substr(0, dot) == scope) {
      out += ", ";
    } else {
      if (!scope.empty()) out += " }\n";
      scope = name.substr(0, dot);
      out += fmt::format("  {} {{ ", scope);
    }
    out += fmt::format("{}: {}", name.substr(dot + 1), print_value(value));
  }
  if (!scope.empty()) out += " }\n";
  out += fmt::format("  action {}\n  expect {}", action_name(test.action), test.permit ? "permit" : "deny");
  switch (test.by) {
    case PolicyTest::By::kAnything: break;
    case PolicyTest::By::kRule: out += " by " + in_quotes(test.by_name); break;
    case PolicyTest::By::kRole: out += " by role " + in_quotes(test.by_name); break;
    case PolicyTest::By::kDefault: out += " by default"; break;
  }
  return out + "\n}\n";
}

}  // namespace

std::string print_value(const PolicyValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return in_quotes(*text);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *number);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  std::vector<std::string> items;
  for (const auto& item : std::get<std::vector<std::string>>(value)) items.push_back(in_quotes(item));
  return fmt::format("[{}]", joined(items));
}

std::string print_condition(const Condition& condition) {
  const auto part = [](const Condition& inner, bool parentheses) { return parentheses ? fmt::format("({})", print_condition(inner)) : print_condition(inner); };
  if (condition.op == Operator::kNot) {
    const Condition& inner = condition.parts.front();
    return "not " + part(inner, inner.op == Operator::kAnd || inner.op == Operator::kOr);
  }
  if (condition.op == Operator::kAnd || condition.op == Operator::kOr) {
    std::string out;
    for (const auto& inner : condition.parts) {
      if (!out.empty()) out += fmt::format(" {} ", operator_name(condition.op));
      out += part(inner, condition.op == Operator::kAnd && inner.op == Operator::kOr);
    }
    return out;
  }
  const std::string_view left = attribute_info(condition.left).name;
  if (condition.op == Operator::kExists) return fmt::format("exists {}", left);
  const auto* attribute = std::get_if<Attribute>(&condition.right);
  return fmt::format("{} {} {}", left, operator_name(condition.op), attribute ? std::string(attribute_info(*attribute).name) : print_value(std::get<PolicyValue>(condition.right)));
}

std::string print_policies(const PolicyFile& file) {
  std::string out;
  for (const auto& rule : file.rules) out += (out.empty() ? "" : "\n") + print_rule(rule);
  for (const auto& test : file.tests) out += (out.empty() ? "" : "\n") + print_test(test);
  return out;
}

}  // namespace stoa::governance
