// The compiled and indexed policy set against a plain reading of its semantics, over random policies and requests.
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "governance/access/policy/policy_set.h"

namespace stoa::governance {
namespace {

// What is known of a request, as the values of the language.
using Known = std::vector<std::pair<Attribute, PolicyValue>>;
enum class Plain { kFalse, kUnknown, kTrue };

const PolicyValue* value_of(const Known& known, Attribute attribute) {
  for (const auto& [name, value] : known)
    if (name == attribute) return &value;
  return nullptr;
}

bool plain_like(std::string_view text, std::string_view pattern) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') return plain_like(text, pattern.substr(1)) || (!text.empty() && plain_like(text.substr(1), pattern));
  return !text.empty() && text[0] == pattern[0] && plain_like(text.substr(1), pattern.substr(1));
}

bool contains(const std::vector<std::string>& list, const std::string& text) {
  for (const auto& item : list)
    if (item == text) return true;
  return false;
}

// Bit by bit.
bool plain_within(const std::string& address, const std::string& range) {
  const auto one = parse_address(address), first = parse_address(range.substr(0, range.find('/')));
  if (one->v6 != first->v6) return false;
  const int bits = range.find('/') == range.npos ? (first->v6 ? 128 : 32) : std::stoi(range.substr(range.find('/') + 1));
  for (int i = 0; i < bits; ++i)
    if (((one->bytes[i / 8] ^ first->bytes[i / 8]) >> (7 - i % 8)) & 1) return false;
  return true;
}

Plain reference(const Condition& condition, const Known& known) {
  switch (condition.op) {
    case Operator::kNot: {
      const Plain inner = reference(condition.parts[0], known);
      return inner == Plain::kTrue ? Plain::kFalse : inner == Plain::kFalse ? Plain::kTrue : Plain::kUnknown;
    }
    case Operator::kAnd:
    case Operator::kOr: {
      bool some_true = false, some_false = false, some_unknown = false;
      for (const auto& part : condition.parts) {
        const Plain one = reference(part, known);
        some_true |= one == Plain::kTrue;
        some_false |= one == Plain::kFalse;
        some_unknown |= one == Plain::kUnknown;
      }
      if (condition.op == Operator::kAnd) return some_false ? Plain::kFalse : some_unknown ? Plain::kUnknown : Plain::kTrue;
      return some_true ? Plain::kTrue : some_unknown ? Plain::kUnknown : Plain::kFalse;
    }
    default: break;
  }
  const PolicyValue* left = value_of(known, condition.left);
  if (condition.op == Operator::kExists) return left ? Plain::kTrue : Plain::kFalse;
  const auto* attribute = std::get_if<Attribute>(&condition.right);
  const PolicyValue* right = attribute ? value_of(known, *attribute) : &std::get<PolicyValue>(condition.right);
  if (left == nullptr || right == nullptr) return Plain::kUnknown;
  const auto answer = [](bool holds) { return holds ? Plain::kTrue : Plain::kFalse; };
  const auto text = [](const PolicyValue* value) { return std::get<std::string>(*value); };
  const auto number = [](const PolicyValue* value) { return std::get<std::int64_t>(*value); };
  const auto list = [](const PolicyValue* value) { return std::get<std::vector<std::string>>(*value); };
  switch (condition.op) {
    case Operator::kEqual: return answer(*left == *right);
    case Operator::kNotEqual: return answer(*left != *right);
    case Operator::kLess: return answer(number(left) < number(right));
    case Operator::kLessEqual: return answer(number(left) <= number(right));
    case Operator::kGreater: return answer(number(left) > number(right));
    case Operator::kGreaterEqual: return answer(number(left) >= number(right));
    case Operator::kIn: return answer(contains(list(right), text(left)));
    case Operator::kHas: return answer(contains(list(left), text(right)));
    case Operator::kLike: return answer(plain_like(text(left), text(right)));
    default: return answer(plain_within(text(left), text(right)));
  }
}

struct PlainDecision {
  bool allowed = false;
  const Rule* rule = nullptr;
};

// The five steps, as policy_set.h tells them.
PlainDecision reference(std::span<const PolicyFile> files, Action action, const Known& known) {
  std::vector<const Rule*> rules;
  for (const auto& file : files)
    for (const auto& rule : file.rules) rules.push_back(&rule);
  const auto truth = [&](const Rule& rule) { return rule.when ? reference(*rule.when, known) : Plain::kTrue; };
  for (const Rule* rule : rules)
    if (rule->kind == RuleKind::kForbid && rule->actions.has(action) && truth(*rule) != Plain::kFalse) return {false, rule};
  for (const Rule* rule : rules)
    if (rule->kind == RuleKind::kBoundary && !rule->actions.has(action) && truth(*rule) != Plain::kFalse) return {false, rule};
  const PolicyValue* role = value_of(known, Attribute::kPrincipalRole);
  for (const Rule* rule : rules)
    if (rule->kind == RuleKind::kRole && role && rule->name == std::get<std::string>(*role) && rule->actions.has(action)) return {true, rule};
  for (const Rule* rule : rules)
    if (rule->kind == RuleKind::kPermit && rule->actions.has(action) && truth(*rule) == Plain::kTrue) return {true, rule};
  return {};
}

// Random texts and requests over few values, so that they meet often.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t limit) { return random_() % limit; }
  template <class T>
  T one_of(const std::vector<T>& values) {
    return values[below(values.size())];
  }

  std::string word() { return one_of<std::string>({"a", "b", "ab", "ba", ""}); }
  std::string address() { return one_of<std::string>({"10.0.0.1", "10.128.0.1", "192.168.1.1", "::ffff:10.0.0.1", "fd00::1", "fd80::1"}); }
  std::string weekday() { return one_of<std::string>({"monday", "sunday"}); }
  std::string role() { return one_of<std::string>({"r1", "r2", "r3"}); }

  PolicyValue value(Attribute attribute) {
    switch (attribute_info(attribute).type) {
      case AttributeType::kInteger: return static_cast<std::int64_t>(below(5)) - 1;
      case AttributeType::kBoolean: return below(2) == 0;
      case AttributeType::kAddress: return address();
      case AttributeType::kText: return attribute == Attribute::kContextWeekday ? weekday() : attribute == Attribute::kPrincipalRole ? role() : word();
      case AttributeType::kList: break;
    }
    std::vector<std::string> list;
    while (below(3) != 0) list.push_back(word());
    return list;
  }

  Known known() {
    Known known;
    const std::size_t missing = 1 + below(6);  // one in so many
    for (const auto& info : attribute_table())
      if (below(missing + 1) != 0) known.emplace_back(info.attribute, value(info.attribute));
    return known;
  }

  std::string comparison() {
    const AttributeInfo info = one_of(std::vector<AttributeInfo>(attribute_table().begin(), attribute_table().end()));
    const auto literal = [&] { return print_value(value(info.attribute)); };
    if (below(6) == 0) return fmt::format("exists {}", info.name);
    switch (info.type) {
      case AttributeType::kInteger: return fmt::format("{} {} {}", info.name, one_of<std::string>({"==", "!=", "<", "<=", ">", ">="}), below(4) == 0 ? "context.hour" : literal());
      case AttributeType::kBoolean: return fmt::format("{} {} {}", info.name, one_of<std::string>({"==", "!="}), literal());
      case AttributeType::kAddress: return fmt::format("{} within \"{}\"", info.name, one_of<std::string>({"10.0.0.0/8", "10.0.0.0/9", "0.0.0.0/0", "fd00::/9", "::/0", "10.0.0.1"}));
      case AttributeType::kList: return fmt::format("{} has {}", info.name, below(4) == 0 ? "resource.owner" : print_value(word()));
      case AttributeType::kText: break;
    }
    switch (below(4)) {
      case 0: return fmt::format("{} in {}", info.name, below(4) == 0 ? "principal.groups" : fmt::format("[{}, {}]", literal(), literal()));
      case 1: return fmt::format("{} like \"{}\"", info.name, one_of<std::string>({"*", "a*", "*a", "a*b", "**b", "a"}));
      default: return fmt::format("{} {} {}", info.name, one_of<std::string>({"==", "==", "!="}), below(4) == 0 ? "principal.user" : literal());
    }
  }

  std::string condition(int depth) {
    switch (depth == 0 ? 3 : below(6)) {
      case 0: return "not (" + condition(depth - 1) + ")";
      case 1: return fmt::format("({} or {})", condition(depth - 1), condition(depth - 1));
      case 2: return fmt::format("{} and {}", condition(depth - 1), condition(depth - 1));
      default: return comparison();
    }
  }

  std::string actions() {
    std::string out(one_of<std::string>({"model.use", "document.read", "document.*", "*", "dataset.write"}));
    return below(2) ? out : out + ", model.*";
  }

  std::string policies() {
    std::string text = "role \"r1\" { model.use }\nrole \"r2\" { document.*, dataset.* }\nrole \"r3\" { * }\n";
    const std::size_t count = below(12);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string when = below(5) == 0 ? "" : condition(3);
      const std::size_t kind = below(5);
      if (kind == 0)
        text += fmt::format("boundary \"{}\" {{ {} at most {} }}\n", i, when.empty() ? "" : "for " + when, actions());
      else
        text += fmt::format("policy \"{}\" {{ {} {} {} }}\n", i, kind == 1 ? "forbid" : "permit", actions(), when.empty() ? "" : "when " + when);
    }
    return text;
  }

 private:
  std::mt19937 random_;
};

TEST(PolicyProperties, TheIndexedSetAndThePlainReadingAgreeOnDecisionAndRule) {
  std::size_t permitted = 0, by_rule[4] = {}, by_default = 0;
  for (unsigned seed = 0; seed < 2000; ++seed) {
    Maker make(seed);
    const std::string text = make.policies();
    auto file = parse_policies(text, "f");
    ASSERT_TRUE(file) << file.error().message << "\n" << text;
    const auto printed = parse_policies(print_policies(*file), "f");
    ASSERT_TRUE(printed) << printed.error().message << "\n" << print_policies(*file);
    const auto set = PolicySet::compile({std::move(*file)});
    const auto again = PolicySet::compile({*printed});
    ASSERT_TRUE(set && again) << text;
    for (int i = 0; i < 20; ++i) {
      const Known known = make.known();
      const auto action = make.one_of<Action>({Action::kModelUse, Action::kDocumentRead, Action::kDatasetWrite, Action::kModelManage});
      PolicyRequest request(action);
      for (const auto& [attribute, value] : known) request.set(attribute, value);
      const PolicyDecision decision = set->decide(request);
      const PlainDecision expected = reference(set->files(), action, known);
      ASSERT_EQ(decision.allowed, expected.allowed) << "seed " << seed << "\n" << text << decision.reason();
      ASSERT_EQ(decision.rule, expected.rule) << "seed " << seed << "\n" << text << decision.reason();
      const PolicyDecision of_printed = again->decide(request);
      ASSERT_EQ(of_printed.allowed, decision.allowed) << text;
      ASSERT_EQ(of_printed.rule_name(), decision.rule_name()) << text;
      ASSERT_EQ(of_printed.unknown, decision.unknown) << text;
      for (const auto& note : set->explain(request).notes)
        ASSERT_TRUE(note.rule != decision.rule || note.applies);
      permitted += decision.allowed;
      ++(decision.rule ? by_rule[static_cast<int>(decision.rule->kind)] : by_default);
    }
  }
  // The requests reach every step.
  EXPECT_GT(permitted, 1000U);
  for (const std::size_t count : by_rule) EXPECT_GT(count, 1000U);
  EXPECT_GT(by_default, 1000U);
}

TEST(PolicyProperties, KnowingLessNeverPermitsMoreWithoutExists) {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    Maker make(seed + 100'000);
    const std::string text = make.policies();
    if (text.find("exists") != text.npos) continue;
    const auto set = PolicySet::compile({parse_policies(text, "f").value()});
    ASSERT_TRUE(set);
    Known known = make.known();
    bool denied = false;
    while (!known.empty()) {
      PolicyRequest request(Action::kDocumentRead);
      for (const auto& [attribute, value] : known) request.set(attribute, value);
      const bool allowed = set->decide(request).allowed;
      ASSERT_FALSE(denied && allowed) << "seed " << seed << "\n" << text;
      denied = !allowed;
      known.erase(known.begin() + static_cast<std::ptrdiff_t>(make.below(known.size())));
    }
  }
}

}  // namespace
}  // namespace stoa::governance
