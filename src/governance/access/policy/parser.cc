#include "governance/access/policy/parser.h"

#include <algorithm>
#include <array>
#include <fstream>

#include "base/utf8.h"
#include "infra/config/yaml.h"

namespace stoa::governance {
namespace {

using Kind = PolicyToken::Kind;

// Which types of attribute an operator compares. Operators that are not here take no attribute on their left.
struct OperatorRule {
  Operator op;
  std::string_view name;
  std::initializer_list<AttributeType> left;
  AttributeType right;  // of the other side; for == and != the type of the left
};
const std::array kOperators{
    OperatorRule{Operator::kEqual, "==", {AttributeType::kText, AttributeType::kInteger, AttributeType::kBoolean}, AttributeType::kText},
    OperatorRule{Operator::kNotEqual, "!=", {AttributeType::kText, AttributeType::kInteger, AttributeType::kBoolean}, AttributeType::kText},
    OperatorRule{Operator::kLess, "<", {AttributeType::kInteger}, AttributeType::kInteger},
    OperatorRule{Operator::kLessEqual, "<=", {AttributeType::kInteger}, AttributeType::kInteger},
    OperatorRule{Operator::kGreater, ">", {AttributeType::kInteger}, AttributeType::kInteger},
    OperatorRule{Operator::kGreaterEqual, ">=", {AttributeType::kInteger}, AttributeType::kInteger},
    OperatorRule{Operator::kIn, "in", {AttributeType::kText}, AttributeType::kList},
    OperatorRule{Operator::kHas, "has", {AttributeType::kList}, AttributeType::kText},
    OperatorRule{Operator::kLike, "like", {AttributeType::kText}, AttributeType::kText},
    OperatorRule{Operator::kWithin, "within", {AttributeType::kAddress}, AttributeType::kText},
};

std::string nearest_hint(std::string_view text, const std::vector<std::string_view>& candidates) {
  const auto near = infra::nearest_name(text, candidates);
  return near.empty() ? std::string() : fmt::format("did you mean '{}'?", near);
}

std::string attribute_hint(std::string_view text) {
  std::vector<std::string_view> names;
  for (const auto& info : attribute_table()) names.push_back(info.name);
  return nearest_hint(text, names);
}

AttributeType type_of(const PolicyValue& value) {
  constexpr std::array kTypes{AttributeType::kText, AttributeType::kInteger, AttributeType::kBoolean, AttributeType::kList};
  return kTypes[value.index()];
}

}  // namespace

std::string_view operator_name(Operator op) {
  if (op == Operator::kExists) return "exists";
  if (op == Operator::kNot) return "not";
  if (op == Operator::kAnd) return "and";
  if (op == Operator::kOr) return "or";
  return std::ranges::find(kOperators, op, &OperatorRule::op)->name;
}

Status PolicyParser::advance() {
  STOA_TRY(next, lexer_.next());
  token_ = std::move(next);
  return {};
}

bool PolicyParser::at(std::string_view raw) const { return (token_.kind == Kind::kWord || token_.kind == Kind::kSymbol) && token_.raw == raw; }

Result<bool> PolicyParser::accept(std::string_view raw) {
  if (!at(raw)) return false;
  STOA_CHECK(advance());
  return true;
}

Status PolicyParser::expect(std::string_view raw, std::string_view where) {
  if (!at(raw)) return surprised(fmt::format("'{}' {}", raw, where));
  return advance();
}

std::unexpected<Error> PolicyParser::wrong(Place place, std::string_view what, std::string hint) const {
  return fail(lexer_.wrong(place, what).with_hint(std::move(hint)));
}

std::unexpected<Error> PolicyParser::surprised(std::string_view expected) const {
  return wrong(token_.place, fmt::format("{} is expected, not {}", expected, token_.shown()));
}

std::unexpected<Error> PolicyParser::too_many(std::string_view what, std::size_t most) const {
  return fail(lexer_.wrong(token_.place, fmt::format("more than {} {}", most, what), ErrorCode::kTooLarge));
}

Result<std::string> PolicyParser::text(std::string_view what) {
  if (token_.kind != Kind::kText) return surprised(what);
  if (token_.text.empty()) return wrong(token_.place, fmt::format("{} cannot be empty", what));
  std::string text = std::move(token_.text);
  STOA_CHECK(advance());
  return text;
}

Result<PolicyFile> PolicyParser::file() {
  PolicyFile file;
  while (token_.kind != Kind::kEnd) {
    if (file.rules.size() + file.tests.size() >= limits_.max_statements) return too_many("policies, boundaries, roles and tests", limits_.max_statements);
    const Place place = token_.place;
    if (at("test")) {
      STOA_TRY(read, test());
      read.place = place;
      file.tests.push_back(std::move(read));
      continue;
    }
    if (!at("policy") && !at("boundary") && !at("role")) return surprised("policy, boundary, role or test");
    STOA_TRY(read, at("policy") ? policy() : at("boundary") ? boundary() : role());
    read.place = place;
    file.rules.push_back(std::move(read));
  }
  return file;
}

Result<Rule> PolicyParser::policy() {
  STOA_CHECK(advance());
  Rule rule;
  STOA_TRY(name, text("the name of the policy in quotes"));
  rule.name = std::move(name);
  STOA_CHECK(expect("{", "after the name of the policy"));
  if (!at("permit") && !at("forbid")) return surprised("permit or forbid");
  rule.kind = at("permit") ? RuleKind::kPermit : RuleKind::kForbid;
  STOA_CHECK(advance());
  STOA_TRY(set, actions());
  rule.actions = std::move(set);
  STOA_TRY(when, accept("when"));
  if (when) {
    terms_ = 0;
    STOA_TRY(read, condition(0));
    rule.when = std::move(read);
  }
  STOA_CHECK(because(rule));
  STOA_CHECK(expect("}", "at the end of the policy"));
  return rule;
}

Result<Rule> PolicyParser::boundary() {
  STOA_CHECK(advance());
  Rule rule;
  rule.kind = RuleKind::kBoundary;
  STOA_TRY(name, text("the name of the boundary in quotes"));
  rule.name = std::move(name);
  STOA_CHECK(expect("{", "after the name of the boundary"));
  STOA_TRY(narrowed, accept("for"));
  if (narrowed) {
    terms_ = 0;
    STOA_TRY(read, condition(0));
    rule.when = std::move(read);
  }
  STOA_CHECK(expect("at", "most, and the actions that the boundary leaves"));
  STOA_CHECK(expect("most", "after 'at'"));
  STOA_TRY(set, actions());
  rule.actions = std::move(set);
  STOA_CHECK(because(rule));
  STOA_CHECK(expect("}", "at the end of the boundary"));
  return rule;
}

Result<Rule> PolicyParser::role() {
  STOA_CHECK(advance());
  Rule rule;
  rule.kind = RuleKind::kRole;
  STOA_TRY(name, text("the name of the role in quotes"));
  rule.name = std::move(name);
  STOA_CHECK(expect("{", "after the name of the role"));
  STOA_TRY(set, actions());
  rule.actions = std::move(set);
  STOA_CHECK(expect("}", "at the end of the role"));
  return rule;
}

Status PolicyParser::because(Rule& rule) {
  STOA_TRY(given, accept("because"));
  if (!given) return {};
  STOA_TRY(reason, text("the reason in quotes"));
  rule.because = std::move(reason);
  return {};
}

Result<ActionSet> PolicyParser::actions() {
  ActionSet set;
  while (true) {
    if (set.patterns.size() >= limits_.max_list) return too_many("actions in a list", limits_.max_list);
    set.patterns.emplace_back(token_.raw);
    STOA_TRY(mask, action());
    set.mask |= mask;
    STOA_TRY(more, accept(","));
    if (!more) return set;
  }
}

// The actions that a name or pattern means.
Result<std::uint64_t> PolicyParser::action() {
  if (token_.kind != Kind::kWord) return surprised("an action such as document.read");
  const bool pattern = token_.raw.ends_with('*');
  const std::string_view prefix = pattern ? token_.raw.substr(0, token_.raw.size() - 1) : token_.raw;
  std::uint64_t mask = 0;
  std::vector<std::string_view> names;
  for (const auto& info : action_table()) {
    names.push_back(info.name);
    if (pattern ? info.name.starts_with(prefix) : info.name == prefix) mask |= std::uint64_t{1} << static_cast<unsigned>(info.action);
  }
  if (mask == 0) return wrong(token_.place, fmt::format("there is no action '{}'", token_.raw), nearest_hint(token_.raw, names));
  STOA_CHECK(advance());
  return mask;
}

Result<Condition> PolicyParser::condition(std::size_t depth) {
  Condition all{.op = Operator::kOr, .place = token_.place};
  do {
    STOA_TRY(part, conjunction(depth));
    if (part.op == Operator::kOr)  // (a or b) or c
      std::ranges::move(part.parts, std::back_inserter(all.parts));
    else
      all.parts.push_back(std::move(part));
    STOA_TRY(more, accept("or"));
    if (!more) break;
  } while (true);
  return all.parts.size() == 1 ? std::move(all.parts.front()) : std::move(all);
}

Result<Condition> PolicyParser::conjunction(std::size_t depth) {
  Condition all{.op = Operator::kAnd, .place = token_.place};
  do {
    STOA_TRY(part, term(depth));
    if (part.op == Operator::kAnd)
      std::ranges::move(part.parts, std::back_inserter(all.parts));
    else
      all.parts.push_back(std::move(part));
    STOA_TRY(more, accept("and"));
    if (!more) break;
  } while (true);
  return all.parts.size() == 1 ? std::move(all.parts.front()) : std::move(all);
}

Result<Condition> PolicyParser::term(std::size_t depth) {
  if (depth > limits_.max_depth) return too_many("parentheses and 'not's around a term", limits_.max_depth);
  const Place place = token_.place;
  if (at("not")) {
    STOA_CHECK(advance());
    Condition negated{.op = Operator::kNot, .place = place};
    STOA_TRY(part, term(depth + 1));
    negated.parts.push_back(std::move(part));
    return negated;
  }
  if (at("(")) {
    STOA_CHECK(advance());
    STOA_TRY(inner, condition(depth + 1));
    STOA_CHECK(expect(")", fmt::format("for the '(' of {}:{}", place.line, place.column)));
    return inner;
  }
  if (++terms_ > limits_.max_terms) return too_many("comparisons in a condition", limits_.max_terms);
  if (at("exists")) {
    STOA_CHECK(advance());
    Condition known{.op = Operator::kExists, .place = place};
    STOA_TRY(read, attribute());
    known.left = read;
    return known;
  }
  return comparison();
}

Result<Attribute> PolicyParser::attribute() {
  if (token_.kind != Kind::kWord) return surprised("an attribute such as resource.class");
  const AttributeInfo* info = find_attribute(token_.raw);
  if (info == nullptr) return wrong(token_.place, fmt::format("there is no attribute '{}'", token_.raw), attribute_hint(token_.raw));
  STOA_CHECK(advance());
  return info->attribute;
}

Result<Condition> PolicyParser::comparison() {
  Condition condition{.place = token_.place};
  STOA_TRY(left, attribute());
  condition.left = left;
  const AttributeInfo& info = attribute_info(left);
  const auto* rule = std::ranges::find_if(kOperators, [&](const OperatorRule& known) { return at(known.name); });
  if (rule == kOperators.end()) return surprised(fmt::format("an operator (==, !=, <, <=, >, >=, in, has, like or within) after {}", info.name));
  if (std::ranges::find(rule->left, info.type) == rule->left.end()) {
    std::string fitting;
    for (const auto& other : kOperators)
      if (std::ranges::find(other.left, info.type) != other.left.end()) fitting += fmt::format("{}{}", fitting.empty() ? "" : ", ", other.name);
    return wrong(token_.place, fmt::format("{} is {}, which '{}' does not compare", info.name, type_name(info.type), rule->name), "operators for it: " + fitting);
  }
  condition.op = rule->op;
  STOA_CHECK(advance());
  STOA_CHECK(right_side(condition));
  return condition;
}

// The literal or attribute behind an operator, of the type that the operator wants there.
Status PolicyParser::right_side(Condition& condition) {
  const auto& rule = *std::ranges::find(kOperators, condition.op, &OperatorRule::op);
  const AttributeInfo& left = attribute_info(condition.left);
  const bool equality = rule.op == Operator::kEqual || rule.op == Operator::kNotEqual;
  const AttributeType wanted = equality ? left.type : rule.right;
  const PolicyToken literal = token_;
  const bool name = literal.kind == Kind::kWord && !at("true") && !at("false");
  // A pattern or a range that comes from the request would let the one who asks write the rule.
  if (name && (rule.op == Operator::kLike || rule.op == Operator::kWithin)) return surprised(fmt::format("a string after '{}'", rule.name));
  AttributeType found{};
  if (name) {
    STOA_TRY(right, attribute());
    condition.right = right;
    found = attribute_info(right).type;
  } else {
    STOA_TRY(right, value());
    found = type_of(right);
    condition.right = std::move(right);
  }
  if (found != wanted)
    return wrong(literal.place, fmt::format("{} {} needs {}, and '{}' is {}", left.name, rule.name, type_name(wanted), literal.raw, type_name(found)));
  return name ? Status{} : check_literal(condition, literal);
}

// What a literal has to be beyond its type.
Status PolicyParser::check_literal(const Condition& condition, const PolicyToken& literal) const {
  const auto& value = std::get<PolicyValue>(condition.right);
  if (condition.op == Operator::kWithin) {
    if (auto range = parse_range(std::get<std::string>(value)); !range) return wrong(literal.place, range.error().message, range.error().hint);
    return {};
  }
  const auto choices = attribute_info(condition.left).choices;
  if (choices.empty() || condition.op == Operator::kLike) return {};
  const auto check = [&](const std::string& text) -> Status {
    if (std::ranges::find(choices, text) != choices.end()) return {};
    return wrong(literal.place, fmt::format("{} is never \"{}\"", attribute_info(condition.left).name, text),
                 nearest_hint(text, std::vector<std::string_view>(choices.begin(), choices.end())));
  };
  if (const auto* text = std::get_if<std::string>(&value)) return check(*text);
  for (const auto& text : std::get<std::vector<std::string>>(value)) STOA_CHECK(check(text));
  return {};
}

Result<PolicyValue> PolicyParser::value() {
  const PolicyToken token = token_;
  if (token.kind == Kind::kText || token.kind == Kind::kInteger || at("true") || at("false")) {
    STOA_CHECK(advance());
    if (token.kind == Kind::kText) return PolicyValue(token.text);
    if (token.kind == Kind::kInteger) return PolicyValue(token.number);
    return PolicyValue(token.raw == "true");
  }
  if (!at("[")) return surprised("a value (a string, an integer, true, false or a list of strings)");
  STOA_CHECK(advance());
  std::vector<std::string> list;
  while (!at("]")) {
    if (list.size() >= limits_.max_list) return too_many("strings in a list", limits_.max_list);
    if (token_.kind != Kind::kText) return surprised("a string in the list");
    list.push_back(std::move(token_.text));
    STOA_CHECK(advance());
    STOA_TRY(more, accept(","));
    if (!more) break;
  }
  STOA_CHECK(expect("]", "at the end of the list"));
  return PolicyValue(std::move(list));
}

Result<PolicyTest> PolicyParser::test() {
  STOA_CHECK(advance());
  PolicyTest test;
  STOA_TRY(name, text("the name of the test in quotes"));
  test.name = std::move(name);
  STOA_CHECK(expect("{", "after the name of the test"));
  while (at("principal") || at("resource") || at("context")) {
    const std::string scope(token_.raw);
    STOA_CHECK(advance());
    STOA_CHECK(expect("{", "around what is known of the " + scope));
    STOA_CHECK(fields(scope, test.fields));
    STOA_CHECK(expect("}", "at the end of the " + scope));
  }
  STOA_CHECK(expect("action", "after principal, resource and context"));
  if (token_.raw.ends_with('*')) return surprised("one action, not a pattern,");
  STOA_TRY(mask, action());
  while (!(mask >> static_cast<unsigned>(test.action) & 1)) test.action = static_cast<Action>(static_cast<unsigned>(test.action) + 1);
  STOA_CHECK(expectation(test));
  STOA_CHECK(expect("}", "at the end of the test"));
  return test;
}

Status PolicyParser::expectation(PolicyTest& test) {
  STOA_CHECK(expect("expect", "after the action"));
  if (!at("permit") && !at("deny")) return surprised("permit or deny");
  test.permit = at("permit");
  STOA_CHECK(advance());
  STOA_TRY(named, accept("by"));
  if (!named) return {};
  STOA_TRY(by_default, accept("default"));
  test.by = PolicyTest::By::kDefault;
  if (by_default) return {};
  STOA_TRY(by_role, accept("role"));
  test.by = by_role ? PolicyTest::By::kRole : PolicyTest::By::kRule;
  STOA_TRY(name, text(by_role ? "the name of a role in quotes" : "the name of a rule in quotes, role or default"));
  test.by_name = std::move(name);
  return {};
}

Status PolicyParser::fields(std::string_view scope, Fields& out) {
  while (token_.kind == Kind::kWord) {
    const PolicyToken key = token_;
    const std::string name = fmt::format("{}.{}", scope, key.raw);
    const AttributeInfo* info = find_attribute(name);
    if (info == nullptr) return wrong(key.place, fmt::format("there is no attribute '{}'", name), attribute_hint(name));
    STOA_CHECK(advance());
    STOA_CHECK(expect(":", fmt::format("after {}", key.raw)));
    const PolicyToken literal = token_;
    STOA_TRY(read, value());
    if (const AttributeType wanted = info->type == AttributeType::kAddress ? AttributeType::kText : info->type; type_of(read) != wanted)
      return wrong(literal.place, fmt::format("{} is {}, and '{}' is {}", name, type_name(info->type), literal.raw, type_name(type_of(read))));
    if (info->type == AttributeType::kAddress && !parse_address(std::get<std::string>(read)))
      return wrong(literal.place, fmt::format("{} is not an address", literal.raw));
    STOA_CHECK(check_literal({.op = Operator::kEqual, .left = info->attribute, .right = read, .parts = {}, .place = literal.place}, literal));
    const auto place = std::ranges::lower_bound(out, info->attribute, {}, &Fields::value_type::first);
    if (place != out.end() && place->first == info->attribute) return wrong(key.place, fmt::format("{} is given twice", name));
    out.emplace(place, info->attribute, std::move(read));
    STOA_TRY(more, accept(","));
    if (!more) return {};
  }
  return {};
}

Result<Condition> PolicyParser::bare_condition() {
  STOA_TRY(whole, condition(0));
  if (token_.kind != Kind::kEnd) return surprised("`and`, `or` or the end of the condition");
  return whole;
}

Status PolicyParser::bare_fields(std::string_view scope, Fields& out) {
  STOA_CHECK(fields(scope, out));
  if (token_.kind != Kind::kEnd) return surprised("`name: value`, with commas between them,");
  return {};
}

Result<PolicyFile> parse_policies(std::string_view text, std::string_view name, const PolicyLimits& limits) {
  if (text.size() > limits.max_bytes) return fail(ErrorCode::kTooLarge, "{}: {} bytes, more than {}", name, text.size(), limits.max_bytes);
  if (!is_valid_utf8(text)) return fail(ErrorCode::kInvalidArgument, "{}: not valid UTF-8", name);
  PolicyParser parser(text, name, limits);
  STOA_CHECK(parser.start());
  STOA_TRY(file, parser.file());
  file.name = name;
  return std::move(file);
}

Result<PolicyFile> read_policies(const std::filesystem::path& file, const PolicyLimits& limits) {
  std::ifstream stream(file, std::ios::binary);
  std::string text(limits.max_bytes + 1, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!stream.is_open() || stream.bad()) return fail(ErrorCode::kNotFound, "{}: cannot be read", file.string());
  text.resize(static_cast<std::size_t>(stream.gcount()));
  return parse_policies(text, file.string(), limits);
}

Result<std::vector<std::pair<Attribute, PolicyValue>>> parse_fields(std::string_view text, std::string_view scope, const PolicyLimits& limits) {
  if (text.size() > limits.max_bytes || !is_valid_utf8(text)) return fail(ErrorCode::kInvalidArgument, "{}: too long, or not valid UTF-8", scope);
  PolicyParser parser(text, scope, limits);
  STOA_CHECK(parser.start());
  PolicyParser::Fields fields;
  STOA_CHECK(parser.bare_fields(scope, fields));
  return fields;
}

Result<Condition> parse_condition(std::string_view text, std::string_view name, const PolicyLimits& limits) {
  if (text.size() > limits.max_bytes || !is_valid_utf8(text)) return fail(ErrorCode::kInvalidArgument, "{}: too long, or not valid UTF-8", name);
  PolicyParser parser(text, name, limits);
  STOA_CHECK(parser.start());
  return parser.bare_condition();
}

}  // namespace stoa::governance
