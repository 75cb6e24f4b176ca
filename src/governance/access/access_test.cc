#include "governance/access/access.h"

#include <gtest/gtest.h>

#include <random>

#include "governance/access/test_access.h"

namespace stoa::governance {
namespace {

Call someone(std::string role, std::string project = "p1", std::string tenant = "t1") {
  Call call;
  call.principal = {.id = "key_1", .tenant = std::move(tenant), .project = std::move(project), .user = {}, .groups = {}, .role = std::move(role)};
  return call;
}
Resource thing(std::string tenant = "t1", std::string project = "p1", bool hidden = false) {
  return {.tenant = std::move(tenant), .project = std::move(project), .kind = "document", .name = "doc_1", .hidden = hidden};
}
const Access& roles() {
  static const auto access = access_for_tests(STOA_SOURCE_DIR);
  return *access;
}
std::shared_ptr<const PolicySet> compiled(std::string_view text, const PolicySet* base = nullptr) {
  std::vector<PolicyFile> files;
  files.push_back(parse_policies(text, "own").value());
  return std::make_shared<const PolicySet>(PolicySet::compile(std::move(files), base).value());
}

void check(const Call& call, Action action, const Resource& resource, bool allowed, std::string_view rule, const Access& access = roles()) {
  const Decision decision = access.decide(call, action, resource);
  EXPECT_EQ(decision.allowed, allowed) << decision.reason;
  EXPECT_EQ(decision.rule, rule) << decision.reason;
  EXPECT_FALSE(decision.reason.empty());
  const auto permit = access.check(call, action, resource);
  EXPECT_EQ(permit.has_value(), allowed);
}

TEST(AccessAttacks, RolesGiveActionsAndProjectsAreWalls) {
  check(someone("viewer"), Action::kDocumentRead, thing(), true, "role \"viewer\"");
  check(someone("viewer"), Action::kDocumentWrite, thing(), false, "default");
  check(someone("developer"), Action::kDocumentWrite, thing(), true, "role \"developer\"");
  check(someone("developer"), Action::kDocumentManage, thing(), false, "default");
  check(someone("operator"), Action::kKeyManage, thing(), false, "default");
  check(someone("admin"), Action::kKeyManage, thing(), true, "role \"admin\"");
  check(someone(""), Action::kSystemRead, thing(), false, "default");
  check(someone("root"), Action::kSystemRead, thing(), false, "default");
  check(someone("operator"), Action::kDocumentRead, thing("t1", "p2"), false, "access.project");
  check(someone("operator"), Action::kDocumentRead, thing("t1", ""), false, "access.project");  // all of the tenant's projects
  check(someone("admin"), Action::kDocumentRead, thing("t1", "p2"), true, "role \"admin\"");
  check(someone("admin"), Action::kDocumentRead, thing("t1", ""), true, "role \"admin\"");
  check(someone("auditor"), Action::kAuditRead, thing("t1", ""), true, "role \"auditor\"");  // it reaches the tenant by its nature
  check(someone("admin"), Action::kDocumentRead, thing("t2", "p1"), false, "access.tenant");
  for (const Action action : {Action::kTenantManage, Action::kNodeManage, Action::kKmsManage}) check(someone("admin"), action, thing(), false, "access.installation");
  check(someone("operator"), Action::kModelManage, {.tenant = {}, .project = {}, .kind = "adapter", .name = "a"}, false, "access.installation");
  check(someone("admin"), Action::kSystemRead, {.tenant = {}, .project = {}, .kind = "installation"}, false, "access.installation");
}

TEST(AccessAttacks, GrantsNameKindsWithSpacesToo) {
  Call job = someone("developer");
  const auto may = [&](std::string kind, std::string name) { return roles().decide(job, Action::kDocumentWrite, Resource::of(job.principal, std::move(kind), std::move(name))).allowed; };
  job.principal.grants = {{"document.write", "ingest", "job job_1"}};  // as "document.write ingest job job_1" is read
  EXPECT_TRUE(may("ingest job", "job_1"));
  EXPECT_FALSE(may("ingest job", "job_2"));
  EXPECT_FALSE(may("ingest job", ""));
  EXPECT_FALSE(may("document", "job_1"));
  job.principal.grants = {{"document.write", "ingest", "job"}};
  EXPECT_TRUE(may("ingest job", ""));
  EXPECT_FALSE(may("ingest job", "job_1"));
}

TEST(AccessAttacks, NobodyMayNothing) {
  Call half = someone("admin");
  half.principal.tenant.clear();
  for (const auto& action : action_table()) {
    check(Call{}, action.action, thing(), false, "access.nobody");
    check(Call{}, action.action, {}, false, "access.nobody");
    check(half, action.action, thing("", ""), false, "access.nobody");
  }
}

TEST(AccessAttacks, TheLocalOperatorIsHeldByWallsAlone) {
  const auto strict = access_for_tests(STOA_SOURCE_DIR, "policy \"never\" { forbid * }");
  Call local = someone("admin");
  local.principal.id = kLocalOperator;
  check(local, Action::kTenantManage, {.tenant = {}, .project = {}, .kind = "tenant"}, true, "access.installation", *strict);
  check(local, Action::kKeyManage, thing(), true, "access.installation", *strict);
  check(local, Action::kKeyManage, thing("t2"), false, "access.tenant", *strict);
  local.principal.key = "key_1";  // no key stands for it
  check(local, Action::kTenantManage, {.tenant = {}, .project = {}, .kind = "tenant"}, false, "access.installation", *strict);
  check(local, Action::kKeyManage, thing(), false, "policy \"never\"", *strict);
}

TEST(AccessAttacks, AWallHidesWhatIsHidden) {
  const auto check_error = [](const Resource& resource, ErrorCode expected, std::string_view message) {
    const auto permit = roles().check(someone("developer"), Action::kDocumentRead, resource);
    ASSERT_FALSE(permit);
    EXPECT_EQ(permit.error().code, expected) << permit.error().message;
    EXPECT_EQ(permit.error().message, message);
  };
  check_error(thing("t1", "p2", true), ErrorCode::kNotFound, "there is no document doc_1");
  check_error(thing("t2", "p1", true), ErrorCode::kNotFound, "there is no document doc_1");
  check_error(thing("t1", "p2"), ErrorCode::kPermissionDenied, "document.read on document doc_1 is not allowed: it belongs to another project (rule access.project)");
  const Call reader = someone("viewer");
  const auto permit = roles().check(reader, Action::kDocumentRead, thing());
  ASSERT_TRUE(permit);
  EXPECT_EQ(permit->principal().id, "key_1");
  EXPECT_EQ(permit->action(), Action::kDocumentRead);
  EXPECT_EQ(permit->tenant() + " " + permit->project(), "t1 p1");
  EXPECT_EQ(permit->decision().rule, "role \"viewer\"");
  EXPECT_NE(permit->decision().where.find("roles.policy:"), std::string::npos);
}

TEST(Access, ARefusalSaysWhichRuleAndWhy) {
  const auto access = access_for_tests(STOA_SOURCE_DIR, "policy \"hands-off\" { forbid dataset.write when resource.class == \"gold\" because \"ask the data office\" }");
  Resource gold = thing();
  gold.kind = "dataset";
  gold.data_class = "gold";
  EXPECT_EQ(access->check(someone("admin"), Action::kDatasetWrite, gold).error().message,
            "dataset.write on dataset doc_1 is not allowed: the policy \"hands-off\" (more:1) forbids dataset.write: ask the data office (rule policy \"hands-off\")");
  gold.data_class = "tin";
  EXPECT_TRUE(access->check(someone("admin"), Action::kDatasetWrite, gold));
  EXPECT_EQ(access->check(someone("viewer"), Action::kDatasetWrite, Resource::of(someone("viewer").principal, "dataset")).error().message,
            "dataset.write is not allowed: the policy \"hands-off\" (more:1) forbids dataset.write: ask the data office (it asks about something that is not known, "
            "which counts against the caller) (rule policy \"hands-off\")");
}

TEST(AccessAttacks, ScopesCapWhatARoleGives) {
  Call key = someone("developer");
  key.principal.scopes = {"model.use", "document.*"};
  for (const auto& action : action_table()) {
    if (action.reach == Reach::kInstallation) continue;
    const bool in = action.name == "model.use" || action.name.starts_with("document.");
    const auto decision = roles().decide(key, action.action, thing());
    EXPECT_EQ(decision.allowed, in && action.action != Action::kDocumentManage) << action.name;
    EXPECT_EQ(decision.rule == "access.scope", !in) << action.name;
  }
  key.principal.scopes = {"key.manage"};
  check(key, Action::kKeyManage, thing(), false, "default");  // a scope gives nothing that the role does not
}

class NoonOnSaturday final : public Clock {
 public:
  Micros now() const override { return parse_rfc3339("2026-11-21T12:30:00Z").value(); }
};

TEST(AccessAttacks, AScopedKeyReachesIntoOtherProjectsOnlyWhereItsScopesSaySo) {
  Call key = someone("admin");
  Resource other = thing();
  other.project = "proj_other";
  EXPECT_TRUE(roles().decide(key, Action::kDocumentRead, other).allowed);
  key.principal.scopes = {"document.read"};
  EXPECT_EQ(roles().decide(key, Action::kDocumentRead, other).rule, "access.project");
  key.principal.scopes.push_back("project.manage");
  EXPECT_TRUE(roles().decide(key, Action::kDocumentRead, other).allowed);
}

TEST(Access, PoliciesAskWhereACallComesFrom) {
  const NoonOnSaturday clock;
  int asked = 0;
  AccessOptions options;
  options.region = "eu-1";
  options.clock = &clock;
  options.budget_left = [&](const Principal&) -> std::optional<std::int64_t> { return ++asked, 5; };
  const auto access = access_for_tests(STOA_SOURCE_DIR, R"(
policy "inside" { permit model.use when context.address within "10.0.0.0/8" and context.tls == true }
policy "why" { permit dataset.read when context.purpose == "research" }
policy "when" { permit trace.read when context.hour == 12 and context.weekday == "saturday" }
policy "where" { permit usage.read when context.region == "eu-1" }
policy "rich" { permit dataset.write when context.budget_left > 4 }
)", options);
  Call call = someone("viewer");
  check(call, Action::kModelUse, thing(), false, "default", *access);
  check(call, Action::kDatasetRead, thing(), false, "default", *access);
  check(call, Action::kTraceRead, thing(), true, "policy \"when\"", *access);
  check(call, Action::kUsageRead, thing(), true, "policy \"where\"", *access);
  EXPECT_EQ(asked, 0) << "the ledger was asked although no rule about the action wants to know";
  check(call, Action::kDatasetWrite, thing(), true, "policy \"rich\"", *access);
  EXPECT_GT(asked, 0);
  call.origin = {.address = "10.1.2.3", .tls = true, .purpose = "research"};
  check(call, Action::kModelUse, thing(), true, "policy \"inside\"", *access);
  check(call, Action::kDatasetRead, thing(), true, "policy \"why\"", *access);
  call.origin = {.address = "10.1.2.3", .tls = false, .purpose = "fun"};
  check(call, Action::kModelUse, thing(), false, "default", *access);
  check(call, Action::kDatasetRead, thing(), false, "default", *access);
}

// ---- Policies of a tenant

std::unique_ptr<Access> layered(std::string_view installation, std::string_view own) {
  auto access = access_for_tests(STOA_SOURCE_DIR, installation);
  PolicyState state = *access->state();
  state.version = "v1";
  state.tenants["t1"] = {compiled(own, state.installation.get()), "v1+own", {}};
  access->set_state(std::move(state));
  return access;
}

TEST(AccessAttacks, ATenantsPoliciesHoldForThatTenantAndNeverWiden) {
  const auto access = layered("policy \"no-datasets\" { forbid dataset.write } boundary \"cap\" { at most model.*, document.*, policy.* }", R"(
policy "all" { permit * }
policy "mine" { forbid model.use when principal.user == "eve" }
role "curator" { document.*, dataset.* }
)");
  check(someone("viewer"), Action::kDocumentWrite, thing(), true, "policy \"all\"", *access);
  check(someone("viewer"), Action::kDatasetWrite, thing(), false, "policy \"no-datasets\"", *access);
  check(someone("viewer"), Action::kKeyManage, thing(), false, "boundary \"cap\"", *access);
  check(someone("curator"), Action::kDocumentManage, thing(), true, "role \"curator\"", *access);
  Call eve = someone("admin");
  eve.principal.user = "eve";
  check(eve, Action::kModelUse, thing(), false, "policy \"mine\"", *access);
  EXPECT_EQ(access->decide(eve, Action::kModelUse, thing()).version, "v1+own");
  // Elsewhere none of it is known.
  check(someone("viewer", "p1", "t2"), Action::kDocumentWrite, thing("t2"), false, "default", *access);
  check(someone("curator", "p1", "t2"), Action::kDocumentRead, thing("t2"), false, "default", *access);
  eve.principal.tenant = "t2";
  check(eve, Action::kModelUse, thing("t2"), true, "role \"admin\"", *access);
  EXPECT_EQ(access->decide(eve, Action::kModelUse, thing("t2")).version, "v1");
  EXPECT_TRUE(access->check_role("t1", "curator"));
  EXPECT_EQ(access->check_role("t2", "curator").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(access->check_role("t2", "").error().message, "'' is not a role");
}

TEST(AccessAttacks, PoliciesThatCannotBeReadPermitNothing) {
  const auto access = access_for_tests(STOA_SOURCE_DIR);
  PolicyState state = *access->state();
  state.tenants["t1"] = {nullptr, "v", "own:1:1: policy is expected"};
  access->set_state(std::move(state));
  for (const auto& action : action_table())
    if (action.reach != Reach::kInstallation) check(someone("admin"), action.action, thing(), false, "access.policies", *access);
  check(someone("admin", "p1", "t2"), Action::kKeyManage, thing("t2"), true, "role \"admin\"", *access);
  Call local = someone("admin");
  local.principal.id = kLocalOperator;
  check(local, Action::kPolicyManage, thing(), true, "access.installation", *access);
}

TEST(AccessAttacks, NobodyGivesMoreThanTheyHave) {
  const auto access = access_for_tests(STOA_SOURCE_DIR, R"(
role "key-maker" { key.manage, model.use }
role "reader" { document.read }
boundary "contractors" { for principal.groups has "contractors" at most key.manage, document.read })");
  struct Case {
    std::string actor, role;
    bool may;
  };
  for (const auto& [actor, role, may] : {Case{"admin", "operator", true}, Case{"admin", "admin", true}, Case{"key-maker", "key-maker", true}, Case{"key-maker", "reader", false},
                                         Case{"key-maker", "admin", false}, Case{"viewer", "reader", true}, Case{"", "reader", false}, Case{"operator", "admin", false}})
    EXPECT_EQ(access->check_grant(someone(actor), role).has_value(), may) << actor << " " << role;
  Call contractor = someone("admin");
  contractor.principal.groups = {"contractors"};
  EXPECT_TRUE(access->check_grant(contractor, "reader"));
  EXPECT_EQ(access->check_grant(contractor, "key-maker").error().message, "the role key-maker may model.use, and who gives it may not");
}

// Whatever the policies, nothing crosses a wall; and what the installation denies no tenant's policies permit.
TEST(AccessAttacks, RandomPoliciesOpenNoWallAndWidenNothing) {
  std::mt19937 random(7);
  const auto pick = [&](std::initializer_list<const char*> of) { return std::string(of.begin()[random() % of.size()]); };
  const auto rules = [&](const std::string& prefix) {
    std::string text;
    for (int i = 0; i < 6; ++i) {
      const std::string actions = pick({"*", "document.*", "model.use", "project.manage", "tenant.manage, key.*"});
      const std::string when = pick({"", " when principal.role == \"admin\"", " when resource.class == \"x\"", " when not principal.user == \"eve\"", " when exists context.purpose"});
      if (random() % 4 == 0)
        text += fmt::format("boundary \"{}{}\" {{ for exists principal.user at most {} }}\n", prefix, i, actions);
      else
        text += fmt::format("policy \"{}{}\" {{ {} {}{} }}\n", prefix, i, pick({"permit", "permit", "forbid"}), actions, when);
    }
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    const std::string outer = rules("i"), own = rules("t") + "role \"own\" { * }";
    const auto alone = access_for_tests(STOA_SOURCE_DIR, outer), both = layered(outer, own);
    for (int i = 0; i < 40; ++i) {
      Call call = someone(pick({"viewer", "admin", "own", ""}), pick({"p1", "p2"}));
      call.principal.user = pick({"", "eve", "ann"});
      Resource resource = thing(pick({"t1", "t2"}), pick({"p1", "p2", ""}));
      resource.data_class = pick({"", "x"});
      const Action action = action_table()[random() % action_table().size()].action;
      const Decision one = alone->decide(call, action, resource), two = both->decide(call, action, resource);
      if (resource.tenant != call.principal.tenant || action == Action::kTenantManage) {
        EXPECT_FALSE(two.allowed);
        continue;
      }
      const bool restricted = one.rule.starts_with("boundary") || (one.rule.starts_with("policy") && !one.allowed);
      EXPECT_FALSE(restricted && two.allowed) << one.reason << "\n" << two.reason << "\n" << own;
      const bool reaches = both->decide(call, Action::kProjectManage, resource).allowed;
      const bool elsewhere = resource.project.empty() ? action_info(action).reach == Reach::kProject : resource.project != call.principal.project;
      EXPECT_FALSE(elsewhere && !reaches && two.allowed) << two.reason;
    }
  }
}

TEST(Access, ExplainsWhatItDecides) {
  const auto access = layered("", "policy \"own\" { forbid model.use when principal.user == \"eve\" }");
  Call eve = someone("developer");
  eve.principal.user = "eve";
  const auto explained = access->explain(eve, Action::kModelUse, thing());
  EXPECT_EQ(explained.decision.rule, "policy \"own\"");
  ASSERT_TRUE(explained.policies);
  ASSERT_EQ(explained.policies->notes.size(), 2U);
  EXPECT_EQ(explained.policies->notes[0].rule->name, "own");
  EXPECT_EQ(explained.policies->notes[1].rule->name, "developer");
  EXPECT_FALSE(access->explain(eve, Action::kModelUse, thing("t2")).policies);
}

TEST(Access, ScopesAreActions) {
  using Scopes = std::vector<std::string>;
  for (const Scopes& good : {Scopes{}, Scopes{"model.use"}, Scopes{"model.*", "audit.read"}}) EXPECT_TRUE(check_scopes(good));
  for (const Scopes& wrong : {Scopes{""}, Scopes{"*"}, Scopes{".*"}, Scopes{"model"}, Scopes{"model.us"}, Scopes{"model.use", "moon.*"}, Scopes(33, "model.use")})
    EXPECT_EQ(check_scopes(wrong).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(scopes_within(Scopes{"document.read"}, Scopes{"document.*"}));
  EXPECT_TRUE(scopes_within(Scopes{"document.*"}, Scopes{"document.read", "document.write", "document.manage"}));
  EXPECT_TRUE(scopes_within(Scopes{"document.*"}, Scopes{}));
  EXPECT_FALSE(scopes_within(Scopes{"document.*"}, Scopes{"document.read"}));
  EXPECT_FALSE(scopes_within(Scopes{}, Scopes{"document.*"})) << "without scopes a key may all";
}

TEST(Access, TheTableIsInTheOrderOfTheActions) {
  for (std::size_t i = 0; i < action_table().size(); ++i) EXPECT_EQ(static_cast<std::size_t>(action_table()[i].action), i);
  for (const auto& info : action_table()) EXPECT_EQ(parse_action(info.name), info.action);
  EXPECT_EQ(parse_action("document.raed").error().hint, "did you mean 'document.read'?");
  EXPECT_EQ(parse_action("").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stoa::governance
