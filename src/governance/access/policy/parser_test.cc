#include "governance/access/policy/parser.h"

#include <gtest/gtest.h>

namespace stoa::governance {
namespace {

// The message of the error and its hint.
std::string wrong(std::string_view text) {
  const auto file = parse_policies(text, "f");
  if (file) return "";
  return file.error().message + (file.error().hint.empty() ? "" : " | " + file.error().hint);
}

void check_error(std::string_view text, std::string_view expected) { EXPECT_EQ(wrong(text), expected) << text; }
void check_condition_error(std::string_view condition, std::string_view expected) {
  check_error(fmt::format("policy \"p\" {{ permit * when {} }}", condition), expected);
}

TEST(PolicyParser, SaysWhatIsWrongWhereAndWhatWasMeant) {
  check_error("polcy \"x\" {}", "f:1:1: policy, boundary, role or test is expected, not 'polcy'");
  check_error("policy x {", "f:1:8: the name of the policy in quotes is expected, not 'x'");
  check_error("policy \"\" {", "f:1:8: the name of the policy in quotes cannot be empty");
  check_error("policy \"x\" { allow *", "f:1:14: permit or forbid is expected, not 'allow'");
  check_error("policy \"x\" { permit\n  document.raed }", "f:2:3: there is no action 'document.raed' | did you mean 'document.read'?");
  check_error("policy \"x\" { permit docs.* }", "f:1:21: there is no action 'docs.*'");
  check_error("policy \"x\" { permit document.read because 3 }", "f:1:43: the reason in quotes is expected, not '3'");
  check_error("policy \"x\" { permit document.read", "f:1:34: '}' at the end of the policy is expected, not the end of the file");
  check_error("policy \"x\" { permit \"*\" }", "f:1:21: an action such as document.read is expected, not '\"*\"'");
  check_error("policy \"x {", "f:1:8: the string has no closing '\"' on its line");
  check_error("policy \"\\n\" {", "f:1:10: only \\\" and \\\\ may follow a backslash");
  check_error("boundary \"b\" { for exists principal.id }", "f:1:40: 'at' most, and the actions that the boundary leaves is expected, not '}'");
  check_error("boundary \"b\" { at least * }", "f:1:19: 'most' after 'at' is expected, not 'least'");
  check_error("role \"r\" { }", "f:1:12: an action such as document.read is expected, not '}'");
  check_error("# ä\n§", "f:2:1: a character that means nothing here");
  check_error("policy \"a\xE2\x80\xAE\" {", "f:1:10: a character that cannot be seen");
  check_error("# \xE2\x80\xAE", "f:1:3: a character that cannot be seen");
  check_error("\xFF", "f: not valid UTF-8");
}

TEST(PolicyParser, ConditionsHaveTypes) {
  check_condition_error("resource.clas == \"x\"", "f:1:28: there is no attribute 'resource.clas' | did you mean 'resource.class'?");
  check_condition_error("resource.class = \"x\"", "f:1:43: '=' compares nothing: write '=='");
  check_condition_error("! resource.class", "f:1:28: '!' is written 'not'");
  check_condition_error("resource.class == 3", "f:1:46: resource.class == needs a string, and '3' is an integer");
  check_condition_error("resource.class < 3", "f:1:43: resource.class is a string, which '<' does not compare | operators for it: ==, !=, in, like");
  check_condition_error("context.hour == \"9\"", "f:1:44: context.hour == needs an integer, and '\"9\"' is a string");
  check_condition_error("context.hour > 9.5", "f:1:43: '9' does not begin a whole number that fits 64 bits");
  check_condition_error("context.hour > 9999999999999999999", "f:1:43: '9999999999999999999' does not begin a whole number that fits 64 bits");
  check_condition_error("context.tls", "f:1:40: an operator (==, !=, <, <=, >, >=, in, has, like or within) after context.tls is expected, not '}'");
  check_condition_error("principal.groups == [\"a\"]", "f:1:45: principal.groups is a list of strings, which '==' does not compare | operators for it: has");
  check_condition_error("principal.groups has principal.groups", "f:1:49: principal.groups has needs a string, and 'principal.groups' is a list of strings");
  check_condition_error("principal.role in \"admin\"", "f:1:46: principal.role in needs a list of strings, and '\"admin\"' is a string");
  check_condition_error("resource.name like resource.owner", "f:1:47: a string after 'like' is expected, not 'resource.owner'");
  check_condition_error("context.address == \"10.0.0.1\"", "f:1:44: context.address is an address, which '==' does not compare | operators for it: within");
  check_condition_error("context.address within \"10.0.0.0/33\"", "f:1:51: \"10.0.0.0/33\" needs a prefix of 0 to 32 bits behind the '/'");
  check_condition_error("context.address within \"10.0.0.1/8\"", "f:1:51: \"10.0.0.1/8\" has bits set behind its prefix | write the first address of the range");
  check_condition_error("context.address within \"house\"", "f:1:51: \"house\" is not a range of addresses | write it like 10.0.0.0/8 or fd00::/8");
  check_condition_error("context.weekday == \"Sunday\"", "f:1:47: context.weekday is never \"Sunday\" | did you mean 'sunday'?");
  check_condition_error("context.weekday in [\"monday\", \"freitag\"]", "f:1:47: context.weekday is never \"freitag\"");
  check_condition_error("(exists resource.class", "f:1:51: ')' for the '(' of 1:28 is expected, not '}'");
  check_condition_error("exists resource.class and", "f:1:54: an attribute such as resource.class is expected, not '}'");
  check_condition_error("resource.labels has [\"x\"]", "f:1:48: resource.labels has needs a string, and '[' is a list of strings");
  check_condition_error("resource.class in [3]", "f:1:47: a string in the list is expected, not '3'");
  check_condition_error("resource.class in [\"a\" \"b\"]", "f:1:51: ']' at the end of the list is expected, not '\"b\"'");
}

TEST(PolicyParser, TestsAreChecked) {
  const auto check = [](std::string_view body, std::string_view expected) { check_error(fmt::format("test \"t\" {{ {} }}", body), expected); };
  check("action document.read", "f:1:33: 'expect' after the action is expected, not '}'");
  check("expect deny", "f:1:12: 'action' after principal, resource and context is expected, not 'expect'");
  check("action document.* expect deny", "f:1:19: one action, not a pattern, is expected, not 'document.*'");
  check("action model.use expect maybe", "f:1:36: permit or deny is expected, not 'maybe'");
  check("action model.use expect deny by rule", "f:1:44: the name of a rule in quotes, role or default is expected, not 'rule'");
  check("principal { rol: \"x\" }", "f:1:24: there is no attribute 'principal.rol' | did you mean 'principal.role'?");
  check("principal { role \"x\" }", "f:1:29: ':' after role is expected, not '\"x\"'");
  check("principal { role: [\"x\"] }", "f:1:30: principal.role is a string, and '[' is a list of strings");
  check("principal { role: \"x\" role: \"y\" }", "f:1:34: '}' at the end of the principal is expected, not 'role'");
  check("principal { role: \"x\", role: \"y\" }", "f:1:35: principal.role is given twice");
  check("context { address: \"10.0.0.0/8\" }", "f:1:31: \"10.0.0.0/8\" is not an address");
  check("context { weekday: \"sonntag\" }", "f:1:31: context.weekday is never \"sonntag\"");
}

TEST(PolicyParser, LimitsHold) {
  const auto check = [](const PolicyLimits& limits, std::string_view text, std::string_view expected) {
    const auto file = parse_policies(text, "f", limits);
    ASSERT_FALSE(file) << text;
    EXPECT_EQ(file.error().code, ErrorCode::kTooLarge);
    EXPECT_EQ(file.error().message, expected);
  };
  check({.max_bytes = 5}, "role \"r\" { * }", "f: 14 bytes, more than 5");
  check({.max_statements = 1}, "role \"r\" { * } role \"s\" { * }", "f:1:16: more than 1 policies, boundaries, roles and tests");
  check({.max_text = 3}, "role \"rrrr\" { * }", "f:1:6: the string is longer than 3 bytes");
  check({.max_list = 1}, "role \"r\" { *, * }", "f:1:15: more than 1 actions in a list");
  check({.max_list = 1}, "policy \"r\" { permit * when resource.class in [\"a\", \"b\"] }", "f:1:52: more than 1 strings in a list");
  check({.max_depth = 1}, "policy \"r\" { permit * when not not exists resource.class }", "f:1:36: more than 1 parentheses and 'not's around a term");
  check({.max_terms = 1}, "policy \"r\" { permit * when exists resource.class and exists principal.id }", "f:1:54: more than 1 comparisons in a condition");
  std::string deep = "policy \"p\" { permit * when ";
  for (int i = 0; i < 100'000; ++i) deep += "(";
  EXPECT_EQ(wrong(deep), "f:1:61: more than 32 parentheses and 'not's around a term");
}

void check_print(std::string_view text, std::string_view expected) {
  const auto file = parse_policies(text, "f");
  ASSERT_TRUE(file) << file.error().message;
  const std::string printed = print_policies(*file);
  EXPECT_EQ(printed, expected);
  const auto again = parse_policies(printed, "f");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(print_policies(*again), printed);
}

TEST(PolicyPrinter, PrintsWhatReadsBackTheSame) {
  check_print("", "");
  check_print("# only a comment", "");
  check_print("role\"r\"{*,document.*}", "role \"r\" { *, document.* }\n");
  check_print("policy \"a\\\\\\\"\" { permit model.use because \"ü\" }", "policy \"a\\\\\\\"\" {\n  permit model.use\n  because \"ü\"\n}\n");
  check_print("boundary \"b\" { at most model.use }", "boundary \"b\" {\n  at most model.use\n}\n");
  const auto check_condition = [](std::string_view condition, std::string_view expected) {
    check_print(fmt::format("policy \"p\" {{ forbid * when {} }}", condition), fmt::format("policy \"p\" {{\n  forbid *\n  when {}\n}}\n", expected));
  };
  check_condition("(context.hour>=-7)", "context.hour >= -7");
  check_condition("context.tls==true and context.tls != false", "context.tls == true and context.tls != false");
  check_condition("exists principal.id and (exists principal.user and exists principal.key)", "exists principal.id and exists principal.user and exists principal.key");
  check_condition("(exists principal.id and exists principal.user) or exists principal.key", "exists principal.id and exists principal.user or exists principal.key");
  check_condition("exists principal.id and (exists principal.user or exists principal.key)", "exists principal.id and (exists principal.user or exists principal.key)");
  check_condition("not not (resource.owner == principal.user)", "not not resource.owner == principal.user");
  check_condition("not (exists principal.id or exists principal.user)", "not (exists principal.id or exists principal.user)");
  check_condition("resource.class in [\"a\",\"b\",] and principal.id in []", "resource.class in [\"a\", \"b\"] and principal.id in []");
  check_condition("context.address within \"fd00::/8\" or resource.name like \"a*\"", "context.address within \"fd00::/8\" or resource.name like \"a*\"");
  check_print("test \"t\" { context { hour: 7 } principal { groups: [\"a\"], role: \"r\" } principal { id: \"i\" } action model.use expect deny by role \"r\" }",
              "test \"t\" {\n  principal { id: \"i\", role: \"r\", groups: [\"a\"] }\n  context { hour: 7 }\n  action model.use\n  expect deny by role \"r\"\n}\n");
}

TEST(PolicyParser, PlacesAreThoseOfTheText) {
  const auto file = parse_policies("# x\n\n  policy \"ä\" { permit * when exists principal.id }\ntest \"t\" { action model.use expect deny }", "f");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->rules[0].place.line, 3U);
  EXPECT_EQ(file->rules[0].place.column, 3U);
  EXPECT_EQ(file->rules[0].when->place.column, 30U);
  EXPECT_EQ(file->tests[0].place.line, 4U);
}

TEST(PolicyParser, FieldsAloneAreRead) {
  const auto fields = parse_fields("role: \"admin\", groups: [\"hr\"]", "principal");
  ASSERT_TRUE(fields) << fields.error().message;
  ASSERT_EQ(fields->size(), 2U);
  EXPECT_EQ((*fields)[0].first, Attribute::kPrincipalRole);
  EXPECT_TRUE(parse_fields("", "context")->empty());
  EXPECT_EQ(parse_fields("role: \"a\" }", "principal").error().message, "principal:1:11: `name: value`, with commas between them, is expected, not '}'");
  EXPECT_EQ(parse_fields("hour: 3", "principal").error().message, "principal:1:1: there is no attribute 'principal.hour'");
}

TEST(PolicyParser, FilesAreRead) {
  const auto file = read_policies(STOA_SOURCE_DIR "/share/roles.policy");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_GE(file->rules.size(), 8U);
  EXPECT_EQ(read_policies("no/such.policy").error().message, "no/such.policy: cannot be read");
  EXPECT_EQ(read_policies(STOA_SOURCE_DIR "/share/roles.policy", {.max_bytes = 100}).error().code, ErrorCode::kTooLarge);
}

TEST(PolicyParser, ReadsAConditionByItself) {
  EXPECT_TRUE(parse_condition(R"(context.data_class == "restricted" and not context.tags has "team=lab")", "rule"));
  const auto check = [](std::string_view text, std::string_view said) {
    const auto condition = parse_condition(text, "rule");
    ASSERT_FALSE(condition) << text;
    EXPECT_NE(condition.error().message.find(said), std::string::npos) << condition.error().message;
  };
  check("", "rule:1:1");
  check("context.tokens > 1 }", "the end of the condition");
  check("context.token > 1", "context.token");
  check("context.tokens > \"1\"", "rule:1");
  check("\xff", "UTF-8");
}

TEST(PolicyAttributes, TheTableIsInOrder) {
  for (std::size_t i = 0; i < attribute_table().size(); ++i) {
    EXPECT_EQ(static_cast<std::size_t>(attribute_table()[i].attribute), i);
    EXPECT_EQ(find_attribute(attribute_table()[i].name), &attribute_table()[i]);
  }
  EXPECT_EQ(attribute_table().size(), static_cast<std::size_t>(Attribute::kContextTokens) + 1);
  EXPECT_LE(action_table().size(), 64U);  // bits of ActionSet::mask
}

}  // namespace
}  // namespace stoa::governance
