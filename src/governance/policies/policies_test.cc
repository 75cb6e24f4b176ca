#include "governance/policies/policies.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

std::string roles_text() {
  std::ifstream in(STOA_SOURCE_DIR "/share/roles.policy");
  return {std::istreambuf_iterator<char>(in), {}};
}

class TestClock final : public Clock {
 public:
  Micros now() const override { return time; }
  Micros time = 1'800'000'000'000'000;
};

// One process on a store that others may share.
struct Process {
  Process(infra::SqlDatabase& database, AuditLog& audit, const Clock& clock, std::filesystem::path folder = {}, DecisionLog* decisions = nullptr)
      : access(*Access::with_policies({parse_policies(roles_text(), "roles.policy").value()}, AccessOptions{.region = {}, .budget_left = {}, .clock = &clock})) {
    auto opened = Policies::open({.database = database, .audit = audit, .access = *access, .base = {{"roles.policy", roles_text()}}, .folder = PolicyFolder(std::move(folder)),
                                  .decisions = decisions, .clock = clock});
    EXPECT_TRUE(opened) << opened.error().message;
    policies = std::move(*opened);
  }
  std::unique_ptr<Access> access;
  std::unique_ptr<Policies> policies;
};

class PoliciesContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  PoliciesContract() { local_.principal.id = kLocalOperator; }
  static Call someone(std::string role, std::string tenant = "t1") {
    Call call;
    call.principal = {.id = "user_" + role, .tenant = std::move(tenant), .project = "p1", .user = role, .groups = {}, .role = role};
    return call;
  }
  PolicyVersion set(const Call& call, std::string name, std::string text, std::string tenant = "t1") {
    auto stored = process_.policies->set(call, {std::move(tenant)}, {.name = std::move(name), .text = std::move(text), .comment = "why", .expected = {}});
    EXPECT_TRUE(stored) << stored.error().message;
    return stored ? *stored : PolicyVersion{};
  }
  void refused(const Call& call, std::string text, ErrorCode code, std::string_view message, std::string tenant = "t1") {
    const auto stored = process_.policies->set(call, {std::move(tenant)}, {.name = "rules", .text = std::move(text), .comment = {}, .expected = {}});
    ASSERT_FALSE(stored);
    EXPECT_EQ(stored.error().code, code) << stored.error().message;
    EXPECT_NE(stored.error().message.find(message), std::string::npos) << stored.error().message;
  }
  static bool may(const Access& access, const Call& call, Action action) { return access.check(call, action, Resource::of(call.principal, "thing")).has_value(); }
  bool may(const Call& call, Action action) const { return may(*process_.access, call, action); }

  TestClock clock_;
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<AuditLog> audit_ = *AuditLog::open(*database_, clock_);
  std::unique_ptr<DecisionLog> decisions_ = *DecisionLog::open(*database_, {.clock = &clock_});
  Process process_{*database_, *audit_, clock_, {}, decisions_.get()};
  const Call admin_ = someone("admin");
  Call local_ = someone("admin");
};
INSTANTIATE_TEST_SUITE_P(, PoliciesContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(PoliciesContract, WhatIsSetHoldsAtOnceAndCanBeTakenBack) {
  const Call developer = someone("developer");
  EXPECT_TRUE(may(developer, Action::kModelUse));
  const PolicyVersion first = set(admin_, "rules", "policy \"no\" { forbid model.use when principal.role == \"developer\" }");
  EXPECT_EQ(first.version, 1);
  EXPECT_EQ(first.author, "user_admin");
  EXPECT_FALSE(may(developer, Action::kModelUse));
  EXPECT_NE(process_.access->check(developer, Action::kModelUse, Resource::of(developer.principal, "model")).error().message.find("\"no\" (rules@1:1)"), std::string::npos);
  EXPECT_TRUE(may(someone("developer", "t2"), Action::kModelUse));
  set(admin_, "rules", "role \"curator\" { document.* }");
  EXPECT_TRUE(may(developer, Action::kModelUse));
  EXPECT_TRUE(may(someone("curator"), Action::kDocumentManage));
  EXPECT_FALSE(may(someone("curator", "t2"), Action::kDocumentManage));
  const auto back = process_.policies->rollback(admin_, {"t1"}, "rules", 1, "");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->version, 3);
  EXPECT_EQ(back->comment, "as of version 1");
  EXPECT_EQ(back->digest, first.digest);
  EXPECT_FALSE(may(developer, Action::kModelUse));
  ASSERT_TRUE(process_.policies->remove(admin_, {"t1"}, "rules", "enough"));
  EXPECT_TRUE(may(developer, Action::kModelUse));
  EXPECT_EQ(process_.policies->remove(admin_, {"t1"}, "rules", "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(process_.policies->rollback(admin_, {"t1"}, "rules", 4, "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(process_.policies->rollback(admin_, {"t1"}, "rules", 9, "").error().code, ErrorCode::kNotFound);

  const auto history = process_.policies->history(admin_, {"t1"}, "rules");
  ASSERT_EQ(history->size(), 4U);
  EXPECT_TRUE(history->front().removed);
  const auto changes = process_.policies->diff(admin_, {"t1"}, "rules", 1, 2);
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_EQ((*changes)[0].name + " " + (*changes)[0].after, "no ");
  EXPECT_EQ((*changes)[1].after, "role \"curator\" { document.* }\n");
  AuditQuery query;
  query.action = "policy.set";
  const auto entries = *audit_->query(query);
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].resource, "policy rules@1");
  EXPECT_EQ(entries[0].reason, first.digest);
}

TEST_P(PoliciesContract, AChangeThatIsWrongIsRefusedAndNothingOfItHolds) {
  refused(admin_, "policy \"x\" { forbid modle.use }", ErrorCode::kInvalidArgument, "rules:1:21: there is no action 'modle.use'");
  refused(admin_, "policy \"x\" { permit model.use }\ntest \"viewers do not\" { principal { role: \"viewer\" } action model.use expect deny }", ErrorCode::kInvalidArgument,
          "rules:2: the test \"viewers do not\" fails: deny was expected, but it is permitted");
  refused(admin_, "role \"viewer\" { * }", ErrorCode::kInvalidArgument, "is taken by roles.policy");
  refused(admin_, "policy \"x\" { permit model.use when principal.role == \"pilot\" }", ErrorCode::kInvalidArgument, "there is no role \"pilot\"");
  refused(admin_, " \n", ErrorCode::kInvalidArgument, "empty");
  refused(admin_, std::string(Policies::kMaxText + 1, ' '), ErrorCode::kTooLarge, "bytes of policies");
  EXPECT_EQ(process_.policies->set(admin_, {"t1"}, {.name = "a/b", .text = "#", .comment = {}, .expected = {}}).error().param, "name");
  EXPECT_EQ(process_.policies->set(admin_, {"t1"}, {.name = "a", .text = "#", .comment = std::string(513, 'x'), .expected = {}}).error().param, "comment");
  EXPECT_EQ(process_.policies->list(admin_, {"t1"})->size(), 1U) << "only the roles";
  EXPECT_EQ(process_.policies->get(admin_, {"t1"}, "rules").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(process_.policies->history(admin_, {"t1"}, "rules").error().code, ErrorCode::kNotFound);
  set(admin_, "rules", "# first");
  const auto lost = process_.policies->set(admin_, {"t1"}, {.name = "rules", .text = "# mine", .comment = {}, .expected = 0});
  EXPECT_EQ(lost.error().code, ErrorCode::kConflict);
  for (std::size_t i = 1; i < Policies::kMaxNames; ++i) set(admin_, fmt::format("n{}", i), "# nothing");
  EXPECT_EQ(process_.policies->set(admin_, {"t1"}, {.name = "more", .text = "#", .comment = {}, .expected = {}}).error().code, ErrorCode::kTooLarge);
}

TEST_P(PoliciesContract, NobodyLocksEverybodyOut) {
  refused(admin_, "policy \"freeze\" { forbid policy.manage }", ErrorCode::kInvalidArgument, "with this you could not change policies any more: the policy \"freeze\"");
  refused(admin_, "boundary \"cap\" { at most model.* }", ErrorCode::kInvalidArgument, "with this you could not change policies any more");
  refused(local_, "policy \"freeze\" { forbid policy.manage }", ErrorCode::kInvalidArgument, "nobody could change policies any more");
  refused(local_, "boundary \"cap\" { at most model.* }", ErrorCode::kInvalidArgument, "nobody could change policies any more", "");
  set(admin_, "rules", "policy \"most\" { forbid policy.manage when principal.user != \"admin\" }");
  EXPECT_TRUE(may(admin_, Action::kPolicyManage));
}

using PoliciesAttacks = PoliciesContract;
INSTANTIATE_TEST_SUITE_P(, PoliciesAttacks, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(PoliciesAttacks, OnlyWhoMayChangesAndATenantStaysInItself) {
  for (const char* role : {"viewer", "developer", "operator", "auditor", "curator"}) refused(someone(role), "# x", ErrorCode::kPermissionDenied, "policy.manage");
  refused(someone("admin", "t2"), "# x", ErrorCode::kPermissionDenied, "another tenant");
  refused(admin_, "# x", ErrorCode::kPermissionDenied, "only the local operator", "");
  EXPECT_TRUE(process_.policies->list(someone("auditor"), {"t1"}));
  EXPECT_FALSE(process_.policies->list(someone("developer"), {"t1"}));
  set(admin_, "rules", "# of t1");
  EXPECT_EQ(process_.policies->get(someone("admin", "t2"), {"t1"}, "rules").error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(process_.policies->get(someone("admin", "t2"), {"t2"}, "rules").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(process_.policies->dry_run(someone("developer"), {"t1"}, "rules", "#").error().code, ErrorCode::kPermissionDenied);
  AuditQuery query;
  query.action = "policy.set";
  int denied = 0;
  const auto entries = *audit_->query(query);
  for (const auto& entry : entries) denied += entry.outcome == Outcome::kDenied;
  EXPECT_EQ(denied, 7);
}

TEST_P(PoliciesAttacks, WhatTheInstallationForbidsStaysForbidden) {
  set(local_, "base", "policy \"no-datasets\" { forbid dataset.write } role \"pilot\" { model.use }", "");
  set(admin_, "mine", "policy \"all\" { permit * }");
  EXPECT_TRUE(may(someone("viewer"), Action::kKeyManage));
  EXPECT_FALSE(may(someone("viewer"), Action::kDatasetWrite));
  EXPECT_FALSE(may(admin_, Action::kDatasetWrite));
  EXPECT_FALSE(may(someone("viewer"), Action::kTenantManage));
  EXPECT_TRUE(may(someone("pilot", "t2"), Action::kModelUse));
  // A role of the installation that a tenant's policies compare with may go; what they forbid stays forbidden.
  set(admin_, "mine", "policy \"no-pilots\" { forbid model.list when principal.role in [\"pilot\", \"viewer\"] }");
  ASSERT_TRUE(process_.policies->remove(local_, {""}, "base", ""));
  EXPECT_FALSE(may(someone("viewer"), Action::kModelList));
  EXPECT_TRUE(may(admin_, Action::kDatasetWrite));
}

TEST_P(PoliciesContract, OtherProcessesTakeChangesOver) {
  Process other(*database_, *audit_, clock_);
  const std::string before = other.access->state()->version;
  set(admin_, "rules", "policy \"no\" { forbid model.use }");
  EXPECT_TRUE(other.access->decide(admin_, Action::kModelUse, Resource::of(admin_.principal, "model")).allowed);
  other.policies->refresh();
  EXPECT_FALSE(other.access->decide(admin_, Action::kModelUse, Resource::of(admin_.principal, "model")).allowed);
  EXPECT_EQ(other.access->state()->version, before) << "the installation's are as they were";
  Process later(*database_, *audit_, clock_);
  EXPECT_FALSE(later.access->check(admin_, Action::kModelUse, Resource::of(admin_.principal, "model")));
}

TEST_P(PoliciesContract, AFolderOfFilesIsReadAgainWhenItChanges) {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / fmt::format("policies_test_{}", getpid());
  std::filesystem::create_directories(folder);
  const auto write = [&](const char* name, const std::string& text) { std::ofstream(folder / name) << text; };
  write("a.policy", "policy \"no\" { forbid model.use }");
  write("notes.txt", "not policies");
  write(".hidden.policy", "nor this");
  {
    Process process(*database_, *audit_, clock_, folder);
    const Resource model = Resource::of(admin_.principal, "model");
    EXPECT_EQ(process.access->decide(admin_, Action::kModelUse, model).where, "a.policy:1");
    write("a.policy", "policy \"no\" { forbid model.use when");  // half a file: what was in force stays
    process.policies->refresh();
    EXPECT_FALSE(process.access->decide(admin_, Action::kModelUse, model).allowed);
    write("a.policy", "policy \"no\" { forbid model.list } # and so on");
    process.policies->refresh();
    EXPECT_TRUE(process.access->decide(admin_, Action::kModelUse, model).allowed);
    EXPECT_FALSE(process.access->decide(admin_, Action::kModelList, model).allowed);
    EXPECT_EQ(process.policies->list(admin_, {"t1"})->at(1).source, "a.policy");
    std::filesystem::remove_all(folder);
    process.policies->refresh();
    EXPECT_FALSE(process.access->decide(admin_, Action::kModelList, model).allowed) << "a folder that has gone is a mistake, not the end of all rules";
  }
  EXPECT_EQ(PolicyFolder(folder).read().error().code, ErrorCode::kNotFound);
  auto access = Access::with_policies({});
  EXPECT_EQ(Policies::open({.database = *database_, .audit = *audit_, .access = **access, .base = {}, .folder = PolicyFolder(folder)}).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(Policies::open({.database = *database_, .audit = *audit_, .access = **access, .base = {{"f", "polcy"}}}).error().code, ErrorCode::kInvalidArgument);
}

// What somebody wrote into the store behind the program's back, or another release did.
TEST_P(PoliciesAttacks, ATenantWhosePoliciesCannotBeReadIsClosed) {
  ASSERT_TRUE(database_->execute("INSERT INTO policies (tenant, name, version, removed, text, digest, author, comment, time) VALUES ('t1', 'x', 1, 0, 'polcy', '', '', '', 0)"));
  process_.policies->refresh();
  EXPECT_EQ(process_.access->decide(admin_, Action::kModelList, Resource::of(admin_.principal, "model")).rule, "access.policies");
  EXPECT_TRUE(may(someone("admin", "t2"), Action::kModelList));
  ASSERT_TRUE(process_.policies->remove(local_, {"t1"}, "x", "unreadable"));
  EXPECT_TRUE(may(admin_, Action::kModelList));
}

TEST_P(PoliciesContract, ADryRunShowsWhatWouldChange) {
  Call ann = someone("developer");
  ann.origin = {.address = "10.0.0.1", .tls = true, .purpose = "research"};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(may(ann, Action::kModelUse));
  EXPECT_FALSE(may(someone("viewer"), Action::kModelUse));
  EXPECT_TRUE(may(someone("developer", "t2"), Action::kModelUse));
  const auto run = process_.policies->dry_run(admin_, {"t1"}, "rules", "policy \"no-research\" { forbid model.use when exists context.purpose and context.purpose == \"research\" }\npolicy \"v\" { permit model.use when principal.role == \"viewer\" }\n"
                                              "test \"wrong\" { action model.use expect permit }");
  ASSERT_TRUE(run) << run.error().message;
  ASSERT_EQ(run->changes.size(), 2U);
  EXPECT_EQ(run->changed, 2U);
  const auto& first = run->changes.front();
  EXPECT_EQ(first.record.text(Attribute::kPrincipalUser), "developer");
  EXPECT_EQ(first.record.count, 3);
  EXPECT_TRUE(first.now && !first.then);
  EXPECT_EQ(first.now_rule + " > " + first.then_rule, "role \"developer\" > policy \"no-research\"");
  EXPECT_FALSE(run->changes[1].now);
  EXPECT_EQ(run->tests.failures.size(), 1U);
  EXPECT_TRUE(may(ann, Action::kModelUse)) << "nothing changed";
  for (const auto& change : run->changes) EXPECT_EQ(change.record.tenant, "t1");
  EXPECT_EQ(process_.policies->dry_run(local_, {""}, "base", "policy \"none\" { forbid model.use }")->changed, 2U) << "all tenants'";
  EXPECT_EQ(process_.policies->dry_run(admin_, {"t1"}, "rules", "polcy").error().code, ErrorCode::kInvalidArgument);
}

TEST_P(PoliciesContract, RecordedDecisionsAreCountedAndBounded) {
  const auto log = *DecisionLog::open(*database_, {.max_rows = 5, .max_pending = 8, .linger = milliseconds(600'000), .clock = &clock_});
  const Decision decision{.allowed = true, .rule = "role \"x\"", .where = {}, .reason = {}, .version = {}};
  const auto note = [&](const std::string& user, std::int64_t hour) {
    PolicyRequest request(Action::kModelUse);
    request.set_text(Attribute::kPrincipalTenant, "t9");
    request.set_text(Attribute::kPrincipalUser, user);
    request.set_integer(Attribute::kContextHour, hour);
    log->note(request, decision);
  };
  for (int i = 0; i < 10; ++i) note("ann", i);
  ASSERT_TRUE(log->flush());
  note("ann", 11);
  auto recent = *log->recent("t9");
  ASSERT_EQ(recent.size(), 1U);
  EXPECT_EQ(recent[0].count, 11);
  EXPECT_EQ(recent[0].request().get(Attribute::kContextHour).number, 11);
  for (int i = 0; i < 20; ++i) {
    clock_.time += 1;
    note(fmt::format("u{}", i), 1);
  }
  EXPECT_EQ(log->dropped(), 12);
  recent = *log->recent("t9");
  EXPECT_EQ(recent.size(), 5U);
  EXPECT_EQ(recent.front().text(Attribute::kPrincipalUser).front(), 'u') << "the longest unasked went first";
  EXPECT_TRUE(log->recent("t8")->empty());
}

}  // namespace
}  // namespace stoa::governance
