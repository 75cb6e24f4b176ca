#include "governance/access/policy/policy_set.h"

#include <fstream>
#include <iterator>
#include <stdexcept>

#include <gtest/gtest.h>

namespace stoa::governance {
namespace {

PolicySet compiled(std::string_view text) {
  auto file = parse_policies(text, "f");
  if (!file) throw std::runtime_error(file.error().message);
  auto set = PolicySet::compile({std::move(*file)});
  if (!set) throw std::runtime_error(set.error().message);
  return std::move(*set);
}

// "permit NAME" or "deny NAME", with '?' behind it where it rests on something unknown.
std::string outcome(const PolicyDecision& decision) {
  return fmt::format("{} {}{}", decision.allowed ? "permit" : "deny", decision.rule_name(), decision.unknown ? "?" : "");
}

// `known` is what stands in a test before the action.
void check(const PolicySet& set, std::string_view known, std::string_view action, std::string_view expected) {
  const auto file = parse_policies(fmt::format("test \"t\" {{ {} action {} expect deny }}", known, action), "request");
  ASSERT_TRUE(file) << file.error().message;
  const PolicyTest& test = file->tests.front();
  PolicyRequest request(test.action);
  for (const auto& [attribute, value] : test.fields) request.set(attribute, value);
  const PolicyDecision decision = set.decide(request);
  EXPECT_EQ(outcome(decision), expected) << known << "\n" << decision.reason();
  const PolicyExplanation explained = set.explain(request);
  EXPECT_EQ(outcome(explained.decision), expected);
  EXPECT_EQ(explained.notes.size() + explained.others, set.rules());
}

// Whether one condition is true ("yes"), false ("no") or unknown for what is known, seen through a permit and a forbid.
void check_condition(std::string_view condition, std::string_view known, std::string_view expected) {
  const PolicySet permits = compiled(fmt::format("role \"admin\" {{ model.list }} policy \"p\" {{ permit model.use when {} }}", condition));
  const PolicySet forbids = compiled(fmt::format("role \"admin\" {{ model.list }} policy \"all\" {{ permit * }} policy \"p\" {{ forbid model.use when {} }}", condition));
  SCOPED_TRACE(fmt::format("{} for {}", condition, known));
  check(permits, known, "model.use", expected == "yes" ? "permit p" : "deny default");
  check(forbids, known, "model.use", expected == "yes" ? "deny p" : expected == "unknown" ? "deny p?" : "permit all");
}

TEST(Policies, ConditionsHoldOrDoNotOrAreUnknown) {
  check_condition("resource.class == \"a\"", "resource { class: \"a\" }", "yes");
  check_condition("resource.class == \"a\"", "resource { class: \"b\" }", "no");
  check_condition("resource.class == \"a\"", "", "unknown");
  check_condition("resource.class != \"a\"", "resource { class: \"b\" }", "yes");
  check_condition("resource.class != \"a\"", "", "unknown");
  check_condition("not resource.class == \"a\"", "", "unknown");
  check_condition("exists resource.class", "", "no");
  check_condition("not exists resource.class", "", "yes");
  check_condition("exists resource.class and resource.class == \"a\"", "", "no");
  check_condition("not exists resource.class or resource.class == \"a\"", "", "yes");
  check_condition("resource.class == \"a\" and context.hour > 3", "context { hour: 2 }", "no");
  check_condition("resource.class == \"a\" and context.hour > 3", "context { hour: 4 }", "unknown");
  check_condition("resource.class == \"a\" or context.hour > 3", "context { hour: 4 }", "yes");
  check_condition("resource.class == \"a\" or context.hour > 3", "context { hour: 3 }", "unknown");
  check_condition("context.hour >= 3 and context.hour < 5 and context.hour <= 4 and context.hour != 3", "context { hour: 4 }", "yes");
  check_condition("context.tls == false", "context { tls: false }", "yes");
  check_condition("context.tls == false", "context { tls: true }", "no");
  check_condition("resource.owner == principal.user", "resource { owner: \"ann\" } principal { user: \"ann\" }", "yes");
  check_condition("resource.owner == principal.user", "resource { owner: \"ann\" } principal { user: \"bob\" }", "no");
  check_condition("resource.owner == principal.user", "resource { owner: \"ann\" }", "unknown");
  check_condition("principal.groups has resource.owner", "principal { groups: [\"hr\"] } resource { owner: \"hr\" }", "yes");
  check_condition("resource.owner in principal.groups", "principal { groups: [\"hr\"] } resource { owner: \"it\" }", "no");
  check_condition("principal.groups has \"hr\"", "principal { groups: [\"it\", \"hr\"] }", "yes");
  check_condition("principal.groups has \"hr\"", "principal { groups: [] }", "no");
  check_condition("principal.groups has \"hr\"", "", "unknown");
  check_condition("principal.groups has \"hr\" or principal.groups has \"it\"", "principal { groups: [\"it\"] }", "yes");
  check_condition("resource.class in [\"z\", \"a\", \"m\"]", "resource { class: \"m\" }", "yes");
  check_condition("resource.class in [\"z\", \"a\"]", "resource { class: \"m\" }", "no");
  check_condition("resource.class in []", "resource { class: \"m\" }", "no");
  check_condition("resource.class in []", "", "unknown");
  check_condition("resource.name like \"*a*bc\"", "resource { name: \"xaabbc\" }", "yes");
  check_condition("resource.name like \"a*\"", "resource { name: \"ba\" }", "no");
  check_condition("resource.name like \"a\"", "resource { name: \"aa\" }", "no");
  check_condition("resource.name like \"*\"", "resource { name: \"\" }", "yes");
  check_condition("context.address within \"10.0.0.0/8\"", "context { address: \"10.255.0.1\" }", "yes");
  check_condition("context.address within \"10.0.0.0/8\"", "context { address: \"11.0.0.1\" }", "no");
  check_condition("context.address within \"10.0.0.0/8\"", "context { address: \"::ffff:10.1.2.3\" }", "yes");
  check_condition("context.address within \"172.16.0.0/12\"", "context { address: \"172.31.255.255\" }", "yes");
  check_condition("context.address within \"172.16.0.0/12\"", "context { address: \"172.32.0.0\" }", "no");
  check_condition("context.address within \"::/0\"", "context { address: \"10.1.2.3\" }", "no");
  check_condition("context.address within \"0.0.0.0/0\"", "context { address: \"2001:db8::1\" }", "no");
  check_condition("context.address within \"2001:db8::/33\"", "context { address: \"2001:db8:7fff::1\" }", "yes");
  check_condition("context.address within \"2001:db8::/33\"", "context { address: \"2001:db8:8000::1\" }", "no");
  check_condition("context.address within \"10.0.0.7\"", "context { address: \"10.0.0.7\" }", "yes");
}

constexpr std::string_view kExample = R"(
role "admin" { model.*, document.*, dataset.* }
role "curator" { document.read, document.write, dataset.* }
policy "restricted-data" {
  forbid document.read, model.use
  when exists resource.class and resource.class == "restricted" and not (principal.groups has "cleared")
  because "restricted data is for cleared people"
}
policy "office-hours" {
  permit dataset.write
  when principal.groups has "night-shift" and (context.hour >= 19 or context.hour < 7)
}
boundary "contractors" {
  for principal.groups has "contractors"
  at most model.use, document.read
}
policy "anyone may rate" { permit rating.write }
)";

TEST(PolicyAttacks, TheStepsDecideInTheirOrder) {
  const PolicySet set = compiled(kExample);
  check(set, "principal { role: \"admin\", groups: [] } resource { class: \"public\" }", "document.read", "permit admin");
  check(set, "principal { role: \"curator\", groups: [] }", "model.use", "deny default");
  check(set, "principal { role: \"admin\", groups: [] } resource { class: \"restricted\" }", "document.read", "deny restricted-data");
  check(set, "principal { role: \"admin\", groups: [\"cleared\"] } resource { class: \"restricted\" }", "document.read", "permit admin");
  // A boundary caps roles and permits alike, and a forbid comes before both.
  check(set, "principal { role: \"admin\", groups: [\"contractors\"] }", "dataset.write", "deny contractors");
  check(set, "principal { role: \"admin\", groups: [\"contractors\"] }", "rating.write", "deny contractors");
  check(set, "principal { role: \"admin\", groups: [\"contractors\"] }", "model.use", "permit admin");
  check(set, "principal { role: \"admin\", groups: [\"contractors\"] } resource { class: \"restricted\" }", "model.use", "deny restricted-data");
  check(set, "principal { groups: [\"night-shift\"] } context { hour: 20 }", "dataset.write", "permit office-hours");
  check(set, "principal { groups: [\"night-shift\"] } context { hour: 12 }", "dataset.write", "deny default");
  check(set, "principal { groups: [] }", "rating.write", "permit anyone may rate");
}

// Leaving something out never helps: not the class of what is asked for, not one's groups, not one's role.
TEST(PolicyAttacks, WhatIsNotKnownNeverHelps) {
  const PolicySet set = compiled(kExample);
  check(set, "principal { role: \"admin\" }", "dataset.write", "deny contractors?");
  check(set, "principal { role: \"admin\" } resource { class: \"restricted\" }", "document.read", "deny restricted-data?");
  check(set, "principal { groups: [] }", "document.read", "deny default");
  check(set, "", "rating.write", "deny contractors?");
  const PolicySet unguarded = compiled("role \"admin\" { * } policy \"p\" { forbid document.read when resource.class == \"restricted\" }");
  check(unguarded, "principal { role: \"admin\" }", "document.read", "deny p?");
  check(unguarded, "principal { role: \"admin\" } resource { class: \"public\" }", "document.read", "permit admin");
  // An address that is none counts as not known.
  const PolicySet inside = compiled("role \"admin\" { * } policy \"p\" { forbid * when not context.address within \"10.0.0.0/8\" }");
  PolicyRequest request(Action::kModelUse);
  request.set_text(Attribute::kPrincipalRole, "admin");
  request.set_text(Attribute::kContextAddress, "10.0.0.1");
  EXPECT_EQ(outcome(inside.decide(request)), "permit admin");
  request.set_text(Attribute::kContextAddress, "10.0.0.1 ");
  EXPECT_EQ(outcome(inside.decide(request)), "deny p?");
  request.set_integer(Attribute::kPrincipalRole, 3);  // of the wrong type: nothing changes
  EXPECT_EQ(request.get(Attribute::kPrincipalRole).text, "admin");
}

TEST(Policies, TheFirstOfSeveralDecidesHoweverItIsFound) {
  const PolicySet set = compiled(R"(
    policy "1" { permit model.use when principal.groups has "b" }
    policy "2" { permit model.use when principal.tenant == "t" }
    policy "3" { permit model.use }
    policy "4" { permit model.use when principal.groups has "a" }
  )");
  check(set, "principal { groups: [\"a\", \"b\"], tenant: \"t\" }", "model.use", "permit 1");
  check(set, "principal { groups: [\"a\"], tenant: \"t\" }", "model.use", "permit 2");
  check(set, "principal { groups: [\"a\"], tenant: \"u\" }", "model.use", "permit 3");
}

TEST(Policies, DecisionsSayWhy) {
  const PolicySet set = compiled(kExample);
  const std::vector<std::string> groups{"contractors"}, none;
  PolicyRequest request(Action::kDatasetWrite);
  EXPECT_EQ(set.decide(request).reason(), "the boundary \"contractors\" (f:13) does not leave dataset.write (it asks about something that is not known, which counts against the caller)");
  request.set_list(Attribute::kPrincipalGroups, none);
  EXPECT_EQ(set.decide(request).reason(), "nothing permits dataset.write");
  request.set_text(Attribute::kPrincipalRole, "curator");
  EXPECT_EQ(set.decide(request).reason(), "the role curator (f:3) may dataset.write");
  EXPECT_EQ(set.decide(request).where(), "f:3");
  PolicyRequest reading(Action::kDocumentRead);
  reading.set_list(Attribute::kPrincipalGroups, groups);
  reading.set_text(Attribute::kResourceClass, "restricted");
  EXPECT_EQ(set.decide(reading).reason(), "the policy \"restricted-data\" (f:4) forbids document.read: restricted data is for cleared people");
}

TEST(Policies, ExplanationsShowWhatWasLookedAt) {
  const PolicySet set = compiled(kExample);
  const std::vector<std::string> groups{"night-shift"};
  PolicyRequest request(Action::kDatasetWrite);
  request.set_list(Attribute::kPrincipalGroups, groups);
  request.set_integer(Attribute::kContextHour, 12);
  const auto explained = set.explain(request);
  std::string text;
  for (const auto& note : explained.notes) text += fmt::format("{} {} {}: {}\n", note.where, note.rule->name, note.applies ? "applies" : "does not apply", note.why);
  EXPECT_EQ(text,
            "f:13 contractors does not apply: principal.groups has \"contractors\" does not hold: principal.groups is [\"night-shift\"]\n"
            "f:9 office-hours does not apply: context.hour >= 19 does not hold: context.hour is 12; context.hour < 7 does not hold: context.hour is 12\n");
  EXPECT_EQ(explained.others, 4U);
  const auto unknown = set.explain(PolicyRequest(Action::kDatasetWrite));
  ASSERT_EQ(unknown.notes.size(), 2U);
  EXPECT_EQ(unknown.notes[0].why, "principal.groups has \"contractors\" is unknown: principal.groups is not known; what is not known counts as matching here");
  EXPECT_TRUE(unknown.notes[0].applies);
  EXPECT_FALSE(unknown.notes[1].applies);
}

TEST(Policies, NamesAreUsedOnce) {
  const auto check_error = [](std::vector<std::string> texts, std::string_view expected) {
    std::vector<PolicyFile> files;
    for (const auto& text : texts) files.push_back(parse_policies(text, fmt::format("f{}", files.size())).value());
    const auto set = PolicySet::compile(std::move(files));
    if (expected.empty()) {
      EXPECT_TRUE(set) << set.error().message;
      return;
    }
    ASSERT_FALSE(set);
    EXPECT_EQ(set.error().message + (set.error().hint.empty() ? "" : " | " + set.error().hint), expected);
  };
  check_error({"role \"a\" { * }", "policy \"a\" { permit * }"}, "");
  check_error({"role \"a\" { * }", "\nrole \"a\" { * }"}, "f1:2:1: the name \"a\" is taken by f0:1");
  check_error({"policy \"a\" { permit * } boundary \"a\" { at most * }"}, "f0:1:25: the name \"a\" is taken by f0:1");
  check_error({"role \"admin\" { * }", "policy \"a\" { permit * when principal.role == \"admn\" }"}, "f1:1:28: there is no role \"admn\" | did you mean \"admin\"?");
  check_error({"policy \"a\" { forbid * when not (principal.role in [\"x\"]) }"}, "f0:1:33: there is no role \"x\" | define it, or add the file that does");
}

TEST(Policies, TestsInFilesRun) {
  const PolicySet set = compiled(R"(role "viewer" { document.read }
policy "p" { forbid document.write }
test "1" { principal { role: "viewer" } action document.read expect permit by role "viewer" }
test "2" { action document.read expect permit }
test "3" { action document.write expect deny by "p" }
test "4" { action document.write expect deny by default }
test "5" { action document.read expect deny by "p" }
test "6" { principal { role: "viewer" } action document.read expect permit by "viewer" }
)");
  const auto report = set.run_tests();
  EXPECT_EQ(report.run, 6U);
  std::string text;
  for (const auto& failure : report.failures) text += fmt::format("{} {}: {}\n", failure.where, failure.test, failure.message);
  EXPECT_EQ(text,
            "f:4 2: permit was expected, but it is denied: nothing permits document.read\n"
            "f:6 4: deny by default was expected, but it is denied: the policy \"p\" (f:2) forbids document.write\n"
            "f:7 5: deny by \"p\" was expected, but it is denied: nothing permits document.read\n"
            "f:8 6: permit by \"viewer\" was expected, but it is permitted: the role viewer (f:1) may document.read\n");
}

TEST(PolicyAttacks, TheRolesThatComeWithStoaPassTheirTests) {
  std::ifstream in(STOA_SOURCE_DIR "/share/roles.policy");
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const PolicySet set = compiled(text);
  const auto report = set.run_tests();
  EXPECT_GT(report.run, 0U);
  for (const auto& failure : report.failures) ADD_FAILURE() << failure.where << ": " << failure.message;
  // Everything inside the tenant is the admin's, nothing outside it anybody's, and the plain roles are each within the next.
  EXPECT_EQ(set.role_actions("admin"), ((std::uint64_t{1} << action_table().size()) - 1) & ~action_bit(Action::kTenantManage) & ~action_bit(Action::kKmsManage) & ~action_bit(Action::kNodeManage));
  const std::string_view plain[] = {"viewer", "developer", "operator", "admin"};
  for (std::size_t i = 1; i < std::size(plain); ++i) EXPECT_EQ(*set.role_actions(plain[i - 1]) & ~*set.role_actions(plain[i]), 0U) << plain[i];
}

TEST(Policies, ThePageOfTheLanguageNamesEveryAttributeAndAction) {
  std::ifstream in(STOA_SOURCE_DIR "/docs/formats/policies.md");
  const std::string page{std::istreambuf_iterator<char>(in), {}};
  for (const auto& info : attribute_table()) EXPECT_NE(page.find(fmt::format("| `{}` | ", info.name)), page.npos) << info.name;
  for (const auto& info : action_table()) EXPECT_NE(page.find(fmt::format("`{}`", info.name)), page.npos) << info.name;
}

TEST(Policies, RequestsSayWhatIsKnownOfTheCaller) {
  const Principal nobody;
  const Resource nothing;
  const auto request = PolicyRequest::of(nobody, Action::kModelUse, nothing);
  for (const auto& info : attribute_table()) EXPECT_FALSE(request.get(info.attribute).known) << info.name;
  const Principal someone{.id = "key_1", .tenant = "t1", .project = "p1", .user = {}, .groups = {}, .role = "operator"};
  const Resource model{.tenant = "t1", .project = "p2", .kind = "model", .name = "x"};
  const auto known = PolicyRequest::of(someone, Action::kModelUse, model);
  EXPECT_EQ(known.get(Attribute::kPrincipalRole).text, "operator");
  EXPECT_TRUE(known.get(Attribute::kPrincipalGroups).known);
  EXPECT_FALSE(known.get(Attribute::kPrincipalUser).known);
  EXPECT_EQ(known.get(Attribute::kResourceProject).text, "p2");
  EXPECT_EQ(known.get(Attribute::kResourceKind).text, "model");
  EXPECT_FALSE(known.get(Attribute::kResourceLabels).known);
  const Resource paper{.tenant = {}, .project = {}, .kind = "document", .name = "d", .owner = "o", .data_class = "restricted", .labels = std::vector<std::string>{"hr"}, .residency = "eu"};
  const auto all = PolicyRequest::of(someone, Action::kDocumentRead, paper);
  EXPECT_EQ(all.get(Attribute::kResourceOwner).text, "o");
  EXPECT_EQ(all.get(Attribute::kResourceClass).text, "restricted");
  EXPECT_EQ(all.get(Attribute::kResourceLabels).list.size(), 1U);
  EXPECT_EQ(all.get(Attribute::kResourceResidency).text, "eu");
}

}  // namespace
}  // namespace stoa::governance
