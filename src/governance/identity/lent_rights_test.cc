#include "governance/identity/lent_rights.h"

#include <gtest/gtest.h>

#include "governance/access/test_access.h"
#include "governance/identity/authenticator.h"
#include "infra/bus/local/local.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

constexpr Micros kSecond = 1'000'000, kMinute = 60 * kSecond;

class TestClock final : public Clock {
 public:
  Micros now() const override { return time; }
  Micros time = 1'800'000'000 * kSecond;
};

// An installation with everything that recognises callers, and a developer ann with a key.
class LentRightsContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(identity_->ensure_default());
    operator_ = Call::of(*identity_->local_operator());
    ASSERT_TRUE(identity_->create_user(operator_, "ann", {"eng"}));
    ann_ = Call::of(with_key("ann", "developer"));
  }
  Principal with_key(const std::string& user, const std::string& role, std::vector<std::string> scopes = {}) {
    const auto issued = identity_->issue_key(operator_, {"default", user, "", role, {}, std::move(scopes)});
    EXPECT_TRUE(issued) << issued.error().message;
    return *identity_->authenticate(issued->secret);
  }
  template <class T>
  static ErrorCode code_of(const Result<T>& result) {
    EXPECT_FALSE(result);
    return result ? ErrorCode::kInternal : result.error().code;
  }
  Result<Principal> show(const std::string& secret) { return authenticator_.authenticate({.bearer = secret}); }
  std::vector<AuditEntry> audited(std::string action) {
    AuditQuery query;
    query.action = std::move(action);
    return *audit_->query(query);
  }
  Decision decide(const Principal& principal, Action action, const std::string& kind, const std::string& name) {
    return access_->decide(Call::of(principal), action, Resource::of(principal, kind, name));
  }

  TestClock clock_;
  Metrics metrics_;
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<infra::EventBus> events_ = *infra::open_local_bus(*database_);
  std::unique_ptr<AuditLog> audit_ = *AuditLog::open(*database_, clock_);
  std::unique_ptr<Access> access_ = access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<Identity> identity_ = *Identity::open(*database_, *audit_, *access_, Bytes(32, std::byte{7}), clock_);
  std::unique_ptr<ExternalUsers> external_ = *ExternalUsers::open(*database_, *audit_, clock_);
  ServerTokens tokens_ = *ServerTokens::from_seed(Bytes(32, std::byte{9}));
  Lenders lenders_{*identity_, *external_};
  std::unique_ptr<DelegatedTokens> delegated_ = *DelegatedTokens::open(*database_, *audit_, *access_, lenders_, tokens_, clock_);
  std::unique_ptr<Elevations> elevations_ = *Elevations::open(*database_, *audit_, *events_, metrics_, *access_, lenders_, tokens_, clock_);
  std::unique_ptr<Nodes> nodes_ = *Nodes::open(*database_, *audit_, *access_, clock_);
  Authenticator authenticator_{*identity_, nullptr, delegated_.get(), elevations_.get(), nodes_.get()};
  Call operator_, ann_;
};
INSTANTIATE_TEST_SUITE_P(, LentRightsContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(LentRightsContract, AJobMayWhatItsTokenNamesAndNothingElse) {
  const auto issued = delegated_->issue(ann_, {"nightly", {{"dataset.read", "dataset", "support@1"}}});
  ASSERT_TRUE(issued) << issued.error().message;
  const auto job = show(issued->secret);
  ASSERT_TRUE(job) << job.error().message;
  EXPECT_TRUE(job->id.starts_with("job_"));
  EXPECT_EQ(job->on_behalf, ann_.principal.id);
  EXPECT_EQ(job->project, ann_.principal.project);
  EXPECT_EQ(job->user, "ann");
  EXPECT_EQ(job->expires, clock_.time + 15 * kMinute);
  EXPECT_TRUE(decide(*job, Action::kDatasetRead, "dataset", "support@1").allowed);
  const struct { Action action; std::string kind, name; } table[] = {
      {Action::kDatasetRead, "dataset", "support@2"}, {Action::kDatasetRead, "dataset", ""}, {Action::kDatasetRead, "rating", "support@1"}, {Action::kDatasetWrite, "dataset", "support@1"},
      {Action::kDocumentRead, "document", ""}, {Action::kModelUse, "model", ""}, {Action::kSystemRead, "principal", ""}, {Action::kTokenCreate, "token", ""}};
  for (const auto& [action, kind, name] : table) {
    const Decision decision = decide(*job, action, kind, name);
    EXPECT_FALSE(decision.allowed) << kind << " " << name;
    EXPECT_EQ(decision.rule, "access.grant");
  }
  // By the ids in a route's path, where the thing is not known by name yet.
  Resource routed = Resource::of(*job, "dataset");
  routed.path = "support@1";
  EXPECT_TRUE(access_->decide(Call::of(*job), Action::kDatasetRead, routed).allowed);
  Resource elsewhere = Resource::of(*job, "dataset", "support@1");
  elsewhere.project = "proj_other";
  EXPECT_EQ(access_->decide(Call::of(*job), Action::kDatasetRead, elsewhere).rule, "access.project");
}

TEST_P(LentRightsContract, AJobEndsWithItsTimeItsTokenAndItsHolder) {
  const NewDelegatedToken wanted{"nightly", {{"dataset.read", "dataset", "support@1"}}, 10 * kMinute};
  const auto first = delegated_->issue(ann_, wanted);
  ASSERT_TRUE(first && show(first->secret));
  EXPECT_EQ(delegated_->list(ann_)->size(), 1u);
  EXPECT_EQ(code_of(delegated_->revoke(Call::of(with_key("", "developer")), first->token.id)), ErrorCode::kNotFound);  // another's
  ASSERT_TRUE(delegated_->revoke(ann_, first->token.id));
  EXPECT_EQ(code_of(show(first->secret)), ErrorCode::kUnauthenticated);
  EXPECT_TRUE(delegated_->list(ann_)->empty());

  const auto second = delegated_->issue(ann_, wanted);
  clock_.time += 10 * kMinute;
  EXPECT_EQ(code_of(show(second->secret)), ErrorCode::kUnauthenticated);

  const auto third = delegated_->issue(ann_, wanted);
  ASSERT_TRUE(show(third->secret));
  ASSERT_TRUE(identity_->disable_user(operator_, "ann", true));
  EXPECT_EQ(code_of(show(third->secret)), ErrorCode::kUnauthenticated);
  ASSERT_TRUE(identity_->disable_user(operator_, "ann", false));
  ASSERT_TRUE(identity_->revoke_key(operator_, ann_.principal.key));
  EXPECT_EQ(code_of(show(third->secret)), ErrorCode::kUnauthenticated);
  EXPECT_EQ(audited("identity.token.create").size(), 3u);
  EXPECT_EQ(audited("identity.token.revoke").size(), 1u);
}

TEST_P(LentRightsContract, NobodyLendsWhatTheyMayNotDo) {
  const auto refused = [&](const Call& actor, std::vector<Grant> grants) { return code_of(delegated_->issue(actor, {"x", std::move(grants)})); };
  const Grant read{"dataset.read", "dataset", "support@1"};
  EXPECT_EQ(refused(ann_, {{"key.manage", "key", ""}}), ErrorCode::kPermissionDenied);
  EXPECT_EQ(refused(ann_, {read, {"audit.read", "audit", ""}}), ErrorCode::kPermissionDenied);
  EXPECT_EQ(refused(Call::of(with_key("", "viewer")), {read}), ErrorCode::kPermissionDenied);  // has not the right to lend
  EXPECT_EQ(refused(Call::of(with_key("ann", "developer", {"model.use", "token.create"})), {read}), ErrorCode::kPermissionDenied);
  EXPECT_EQ(refused(operator_, {read}), ErrorCode::kPermissionDenied);
  const auto issued = delegated_->issue(ann_, {"x", {{"token.create", "token", ""}, read}});
  ASSERT_TRUE(issued);
  EXPECT_EQ(refused(Call::of(*show(issued->secret)), {read}), ErrorCode::kPermissionDenied);  // no chains
  EXPECT_EQ(audited("identity.token.create").size(), 7u);

  EXPECT_EQ(refused(ann_, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(ann_, std::vector<Grant>(17, read)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(ann_, {{"data.read", "dataset", ""}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused(ann_, {{"dataset.read", "dataset", "a\nb"}}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(delegated_->issue(ann_, {"", {read}})), ErrorCode::kInvalidArgument);
  for (const Micros length : {Micros{0}, Micros{-1}, 61 * kMinute}) EXPECT_EQ(code_of(delegated_->issue(ann_, {"x", {read}, length})), ErrorCode::kInvalidArgument);
}

TEST_P(LentRightsContract, TheirTokensCannotBeMadeOrChanged) {
  const auto issued = delegated_->issue(ann_, {"x", {{"dataset.read", "dataset", "a"}}});
  ASSERT_TRUE(issued);
  const ServerTokens other = *ServerTokens::from_seed(Bytes(32, std::byte{8}));
  const Micros end = clock_.time + kMinute;
  const std::string table[] = {
      other.sign(kDelegatedType, issued->token.id, clock_.time, end),         // another server's
      tokens_.sign(kElevationType, issued->token.id, clock_.time, end),       // another kind
      tokens_.sign(kDelegatedType, "job_none", clock_.time, end),
      tokens_.sign("jwt", issued->token.id, clock_.time, end),
      tokens_.sign(kDelegatedType, issued->token.id, clock_.time - 10 * kMinute, clock_.time - 5 * kMinute),
      issued->secret.substr(0, issued->secret.rfind('.') + 1) + std::string(86, 'A'),
  };
  for (const auto& text : table) EXPECT_EQ(code_of(show(text)), ErrorCode::kUnauthenticated);
  EXPECT_TRUE(show(issued->secret));
}

TEST_P(LentRightsContract, GrantsAreReadStrictly) {
  const auto grant = parse_grant("dataset.read dataset a name with spaces");
  ASSERT_TRUE(grant);
  EXPECT_EQ(grant->name, "a name with spaces");
  EXPECT_EQ(grant_text(*grant), "dataset.read dataset a name with spaces");
  EXPECT_EQ(parse_grant("model.use model")->name, "");
  for (const std::string_view text : {"", "dataset.read", "dataset.read ", "nothing.read dataset a", "dataset.* dataset a", "dataset.read dataset a\n", " dataset.read dataset"})
    EXPECT_EQ(code_of(parse_grant(text)), ErrorCode::kInvalidArgument) << text;
}

constexpr std::string_view kReason = "INC-7: answers fail, reading traces";

TEST_P(LentRightsContract, BreakGlassIsLoudShortAndBounded) {
  const Call olga = Call::of(with_key("", "operator"));
  const auto begun = elevations_->begin(olga, kReason, 30 * kMinute);
  ASSERT_TRUE(begun) << begun.error().message;
  EXPECT_EQ(audited("identity.breakglass.begin").at(0).reason, kReason);
  EXPECT_EQ(metrics_.counter("stoa_break_glass_total", "").value(), 1);
  EXPECT_EQ(metrics_.gauge("stoa_break_glass_active", "").value(), 1);

  const auto elevated = show(begun->secret);
  ASSERT_TRUE(elevated) << elevated.error().message;
  EXPECT_EQ(elevated->id, olga.principal.id);
  EXPECT_EQ(elevated->role, kBreakGlassRole);
  EXPECT_EQ(elevated->elevation, begun->elevation.id);
  EXPECT_TRUE(decide(*elevated, Action::kAuditRead, "audit", "").allowed);
  EXPECT_FALSE(decide(olga.principal, Action::kAuditRead, "audit", "").allowed);
  // Nothing that would outlast it, and no way to lengthen it.
  for (const Action action : {Action::kKeyManage, Action::kUserManage, Action::kPolicyManage, Action::kTokenCreate, Action::kBreakGlassUse})
    EXPECT_FALSE(decide(*elevated, action, "key", "").allowed) << action_name(action);
  EXPECT_EQ(AuditEntry::of(Call::of(*elevated), "x", "y").reason, "under break-glass " + begun->elevation.id);

  EXPECT_EQ(elevations_->list(olga)->size(), 1u);
  ASSERT_TRUE(elevations_->end(olga, begun->elevation.id));
  EXPECT_EQ(code_of(show(begun->secret)), ErrorCode::kUnauthenticated);
  EXPECT_EQ(metrics_.gauge("stoa_break_glass_active", "").value(), 0);
  EXPECT_EQ(audited("identity.breakglass.end").size(), 1u);

  const auto again = elevations_->begin(olga, kReason, kMinute);
  clock_.time += kMinute;
  EXPECT_EQ(code_of(show(again->secret)), ErrorCode::kUnauthenticated);
  const auto last = elevations_->begin(olga, kReason, kMinute);
  ASSERT_TRUE(identity_->revoke_key(operator_, olga.principal.key));
  EXPECT_EQ(code_of(show(last->secret)), ErrorCode::kUnauthenticated);
}

TEST_P(LentRightsContract, BreakGlassIsNotForEverybody) {
  EXPECT_EQ(code_of(elevations_->begin(ann_, kReason, kMinute)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(audited("identity.breakglass.begin").at(0).outcome, Outcome::kDenied);
  EXPECT_EQ(code_of(elevations_->begin(operator_, kReason, kMinute)), ErrorCode::kPermissionDenied);
  const Call olga = Call::of(with_key("", "operator"));
  EXPECT_EQ(code_of(elevations_->begin(olga, "why not", kMinute)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(elevations_->begin(olga, "two\nlines are not one", kMinute)), ErrorCode::kInvalidArgument);
  for (const Micros length : {Micros{0}, 241 * kMinute}) EXPECT_EQ(code_of(elevations_->begin(olga, kReason, length)), ErrorCode::kInvalidArgument);
  const auto begun = elevations_->begin(olga, kReason, kMinute);
  ASSERT_TRUE(begun);
  EXPECT_EQ(code_of(elevations_->list(ann_)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code_of(elevations_->end(ann_, begun->elevation.id)), ErrorCode::kNotFound);
  EXPECT_TRUE(elevations_->end(Call::of(with_key("", "admin")), begun->elevation.id));
  EXPECT_EQ(code_of(elevations_->end(olga, "glass_none")), ErrorCode::kNotFound);
}

TEST_P(LentRightsContract, NodesAreKnownByTheirCertificates) {
  const std::string digest(64, 'a');
  ASSERT_TRUE(nodes_->add(operator_, {"gpu-1", "", "gpu-1.internal"}));
  std::string printed;
  for (int i = 0; i < 32; ++i) printed += i == 0 ? "AA" : ":AA";
  const auto second = nodes_->add(operator_, {"gpu-2", printed, ""});
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->fingerprint, digest);
  const auto shown = [&](infra::PeerCertificate certificate) { return authenticator_.authenticate({.bearer = {}, .certificate = &certificate}); };
  const auto first = shown({.dns_names = {"other", "gpu-1.internal"}, .uris = {}, .sha256 = std::string(64, 'b')});
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_TRUE(first->id.starts_with("node_"));
  EXPECT_EQ(first->role, kNodeRole);
  EXPECT_TRUE(decide(*first, Action::kModelList, "model", "").allowed);
  for (const Action action : {Action::kDocumentRead, Action::kModelUse, Action::kKeyManage}) EXPECT_FALSE(decide(*first, action, "document", "").allowed);
  EXPECT_EQ(shown({.dns_names = {}, .uris = {}, .sha256 = digest})->id, second->id);
  EXPECT_EQ(code_of(shown({.dns_names = {"gpu-1.internal.evil", "*"}, .uris = {""}, .sha256 = std::string(64, 'c')})), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(shown({.dns_names = {}, .uris = {}, .sha256 = ""})), ErrorCode::kUnauthenticated);

  ASSERT_TRUE(nodes_->revoke(operator_, "gpu-1"));
  EXPECT_EQ(code_of(shown({.dns_names = {"gpu-1.internal"}, .uris = {}, .sha256 = ""})), ErrorCode::kUnauthenticated);
  EXPECT_TRUE(nodes_->revoke(operator_, "gpu-1"));
  EXPECT_EQ(code_of(nodes_->revoke(operator_, "gpu-9")), ErrorCode::kNotFound);
  EXPECT_TRUE(nodes_->add(operator_, {"gpu-1b", "", "gpu-1.internal"}));  // its name may go to the next one
  EXPECT_EQ(nodes_->list(operator_)->size(), 3u);

  EXPECT_EQ(code_of(nodes_->add(operator_, {"gpu-2", "", "x.internal"})), ErrorCode::kConflict);
  EXPECT_EQ(code_of(nodes_->add(operator_, {"gpu-3", digest, ""})), ErrorCode::kConflict);
  for (const NewNode& wrong : {NewNode{"gpu-3", "", ""}, {"gpu-3", digest, "both"}, {"gpu 3", "", "x"}, {"gpu-3", "abc", ""}, {"gpu-3", "", "*.internal"}, {"gpu-3", "", "a b"}})
    EXPECT_EQ(code_of(nodes_->add(operator_, wrong)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(nodes_->add(ann_, {"gpu-3", "", "x"})), ErrorCode::kPermissionDenied);
  EXPECT_EQ(audited("identity.node.add").size(), 4u);  // three, and a refusal
}

TEST_P(LentRightsContract, KeysAndStrangers) {
  const auto issued = identity_->issue_key(operator_, {"default", "ann", "", "viewer"});
  const auto ann = show(issued->secret);
  ASSERT_TRUE(ann);
  EXPECT_EQ(ann->method, "API key");
  for (const std::string text : {"", "sk-stoa-", "eyJ.eyJ.x", "eyJhbGciOiJub25lIn0.e30.", "Basic x"}) EXPECT_EQ(code_of(show(text)), ErrorCode::kUnauthenticated) << text;
}

}  // namespace
}  // namespace stoa::governance
