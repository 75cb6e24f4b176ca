#include "governance/identity/identity.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "governance/access/test_access.h"
#include "infra/sql/sqlite/backends.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

constexpr Micros kSecond = 1'000'000, kMinute = 60 * kSecond;

class TestClock final : public Clock {
 public:
  Micros now() const override { return time; }
  Micros time = 1'800'000'000 * kSecond;  // a whole minute
};

Bytes secret_of(char fill) { return Bytes(32, static_cast<std::byte>(fill)); }

template <class T>
ErrorCode code_of(const Result<T>& result) {
  EXPECT_FALSE(result);
  return result ? ErrorCode::kInternal : result.error().code;
}

class IdentityContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  void SetUp() override {
    database_ = GetParam().open();
    audit_ = *AuditLog::open(*database_, clock_);
    identity_ = *Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_);
    ASSERT_TRUE(identity_->ensure_default());
    operator_ = Call::of(*identity_->local_operator());
  }

  IssuedKey issue(const NewKey& key = {}) {
    auto issued = identity_->issue_key(operator_, key);
    EXPECT_TRUE(issued) << issued.error().message;
    return issued.value_or(IssuedKey{});
  }
  Call with(std::string role) {
    NewKey key;
    key.role = std::move(role);
    return Call::of(*identity_->authenticate(issue(key).secret));
  }
  std::vector<AuditEntry> audited(std::string action) {
    AuditQuery query;
    query.action = std::move(action);
    return *audit_->query(query);
  }

  TestClock clock_;
  std::unique_ptr<infra::SqlDatabase> database_;
  std::unique_ptr<Access> access_ = access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<Identity> identity_;
  Call operator_;
};

INSTANTIATE_TEST_SUITE_P(, IdentityContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(IdentityContract, AuthenticatesUsersAndServiceAccounts) {
  ASSERT_TRUE(identity_->create_user(operator_, "ann", {"ops", "eng", "eng"}));
  const IssuedKey of_ann = issue({"default", "ann", "laptop", "viewer", {}});
  const Principal ann = *identity_->authenticate(of_ann.secret);
  EXPECT_TRUE(ann.id.starts_with("user_"));
  EXPECT_EQ(ann.tenant, operator_.principal.tenant);
  EXPECT_EQ(ann.project, operator_.principal.project);
  EXPECT_EQ(ann.user, "ann");
  EXPECT_EQ(ann.groups, (std::vector<std::string>{"eng", "ops"}));
  EXPECT_EQ(ann.role, "viewer");

  const IssuedKey of_service = issue({"", "", "batch", "operator", {}});
  const Principal service = *identity_->authenticate(of_service.secret);
  EXPECT_EQ(service.id, of_service.key.id);
  EXPECT_EQ(service.user, "");
  EXPECT_EQ(service.role, "operator");

  ASSERT_TRUE(identity_->set_groups(operator_, "ann", {"law"}));
  EXPECT_EQ(identity_->authenticate(of_ann.secret)->groups, std::vector<std::string>{"law"});
}

TEST_P(IdentityContract, AKeyIsReplacedWhileTheOldOneWorksOn) {
  ASSERT_TRUE(identity_->create_user(operator_, "ann"));
  const IssuedKey old = issue({.project = "", .user = "ann", .label = "laptop", .role = "developer", .expires = clock_.time + 100 * kSecond, .scopes = {"model.*"}});
  clock_.time += 10 * kSecond;
  const auto replaced = identity_->rotate_key(operator_, old.key.prefix, 5 * kSecond);
  ASSERT_TRUE(replaced) << replaced.error().message;
  EXPECT_EQ(replaced->key.user, "ann");
  EXPECT_EQ(replaced->key.label, "laptop");
  EXPECT_EQ(replaced->key.expires, clock_.time + 100 * kSecond) << "as long a life";
  for (const auto& secret : {old.secret, replaced->secret}) {
    const auto holder = identity_->authenticate(secret);
    ASSERT_TRUE(holder);
    EXPECT_EQ(holder->user, "ann");
    EXPECT_EQ(holder->scopes, std::vector<std::string>{"model.*"});
  }
  clock_.time += 5 * kSecond;
  EXPECT_EQ(code_of(identity_->authenticate(old.secret)), ErrorCode::kUnauthenticated);
  EXPECT_TRUE(identity_->authenticate(replaced->secret));
  EXPECT_EQ(code_of(identity_->rotate_key(operator_, old.key.id, 0)), ErrorCode::kConflict);
  EXPECT_EQ(code_of(identity_->rotate_key(operator_, "key_none", 0)), ErrorCode::kNotFound);
  for (const Micros overlap : {Micros{-1}, Identity::kMaxOverlap + 1}) EXPECT_EQ(code_of(identity_->rotate_key(operator_, replaced->key.id, overlap)), ErrorCode::kInvalidArgument);
  // An end that is nearer than the overlap stays.
  const IssuedKey short_lived = issue({.expires = clock_.time + kSecond});
  ASSERT_TRUE(identity_->rotate_key(operator_, short_lived.key.id, 60 * kSecond));
  clock_.time += kSecond;
  EXPECT_EQ(code_of(identity_->authenticate(short_lived.secret)), ErrorCode::kUnauthenticated);
}

// Another process changes the store; what was known of a key here ends with it.
TEST_P(IdentityContract, WhatIsKnownOfKeysEndsWithEveryChangeAnywhere) {
  const auto elsewhere = *Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_);
  ASSERT_TRUE(identity_->create_user(operator_, "ann", {"eng"}));
  const IssuedKey key = issue({"default", "ann", "laptop", "viewer", {}}), other = issue();
  const auto groups = [&] { return identity_->authenticate(key.secret)->groups; };
  EXPECT_EQ(groups(), std::vector<std::string>{"eng"});
  ASSERT_TRUE(elsewhere->set_groups(operator_, "ann", {"hr"}));
  EXPECT_EQ(groups(), std::vector<std::string>{"hr"});
  ASSERT_TRUE(elsewhere->set_groups(operator_, "ann", {}));
  EXPECT_EQ(groups(), std::vector<std::string>{});
  ASSERT_TRUE(elsewhere->disable_user(operator_, "ann", true));
  EXPECT_EQ(code_of(identity_->authenticate(key.secret)), ErrorCode::kUnauthenticated);
  ASSERT_TRUE(elsewhere->disable_user(operator_, "ann", false));
  EXPECT_TRUE(identity_->authenticate(key.secret));
  EXPECT_TRUE(identity_->authenticate(other.secret));
  ASSERT_TRUE(elsewhere->revoke_key(operator_, key.key.id));
  EXPECT_EQ(code_of(identity_->authenticate(key.secret)), ErrorCode::kUnauthenticated);
  EXPECT_TRUE(identity_->authenticate(other.secret));
  std::string wrong = other.secret;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  EXPECT_EQ(code_of(identity_->authenticate(wrong)), ErrorCode::kUnauthenticated) << "that the prefix is known helps nobody";
  ASSERT_TRUE(elsewhere->rotate_key(operator_, other.key.id, 0));
  EXPECT_EQ(code_of(identity_->authenticate(other.secret)), ErrorCode::kUnauthenticated);
}

// Random changes elsewhere: what is remembered says what a look-up would.
TEST_P(IdentityContract, WhatIsRememberedIsWhatTheStoreSays) {
  const auto elsewhere = *Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_);
  std::vector<IssuedKey> keys;
  for (const std::string user : {"ann", "bob", "cay"}) {
    ASSERT_TRUE(identity_->create_user(operator_, user, {"g0"}));
    for (int i = 0; i < 3; ++i) keys.push_back(issue({"default", user, "", "viewer", {}}));
  }
  for (int i = 0; i < 3; ++i) keys.push_back(issue());
  ASSERT_TRUE(identity_->remember_keys());
  std::mt19937 random(7);
  const auto any = [&](auto& list) -> auto& { return list[random() % list.size()]; };
  std::vector<std::string> users{"ann", "bob", "cay"};
  for (int step = 0; step < 60; ++step) {
    for (std::size_t changes = random() % 3; changes > 0; --changes) {
      switch (random() % 6) {
        case 0: ASSERT_TRUE(elsewhere->set_groups(operator_, any(users), {fmt::format("g{}", random() % 5), "all"})); break;
        case 1: ASSERT_TRUE(elsewhere->disable_user(operator_, any(users), random() % 2 == 0)); break;
        case 2: ASSERT_TRUE(elsewhere->revoke_key(operator_, any(keys).key.id)); break;
        case 3: ASSERT_TRUE(elsewhere->change_group(operator_, "extra", any(users), random() % 2 == 0)); break;
        case 4: keys.push_back(issue({"default", any(users), "", "developer", {}})); break;
        default:
          if (const auto next = elsewhere->rotate_key(operator_, any(keys).key.id, 0)) {
            keys.push_back(*next);
          }
      }
    }
    if (step % 20 == 19) {
      ASSERT_TRUE(database_->execute("DELETE FROM identity_changes WHERE generation % 2 = 0")) << "what is not told is not trusted";
    }
    const auto fresh = *Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_);
    for (const auto& key : keys) {
      const auto known = identity_->authenticate(key.secret), looked_up = fresh->authenticate(key.secret);
      ASSERT_EQ(known.has_value(), looked_up.has_value()) << step;
      ASSERT_EQ(known ? known->groups : std::vector<std::string>{}, looked_up ? looked_up->groups : std::vector<std::string>{}) << step;
    }
  }
}

using IdentityAttacks = IdentityContract;
INSTANTIATE_TEST_SUITE_P(, IdentityAttacks, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(IdentityAttacks, NobodyGivesMoreThanTheyHave) {
  const Call limited = Call::of(*identity_->authenticate(issue({.role = "admin", .scopes = {"key.manage", "document.read"}}).secret));
  const IssuedKey whole = issue({.role = "admin"}), small = issue({.role = "viewer", .scopes = {"document.read"}});
  for (const std::vector<std::string>& scopes : {std::vector<std::string>{}, {"model.use"}, {"document.*"}, {"document.read", "audit.read"}})
    EXPECT_EQ(code_of(identity_->issue_key(limited, {.role = "viewer", .scopes = scopes})), ErrorCode::kPermissionDenied);
  EXPECT_TRUE(identity_->issue_key(limited, {.role = "viewer", .scopes = {"document.read"}}));
  EXPECT_EQ(code_of(identity_->rotate_key(limited, whole.key.id, 0)), ErrorCode::kPermissionDenied) << "it would be shown a key that may more";
  EXPECT_TRUE(identity_->rotate_key(limited, small.key.id, 0));
  const Call reader = Call::of(*identity_->authenticate(issue({.role = "admin", .scopes = {"document.read"}}).secret));
  EXPECT_EQ(code_of(identity_->issue_key(reader, {.role = "viewer", .scopes = {"document.read"}})), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code_of(identity_->revoke_key(reader, whole.key.id)), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {.scopes = {"moon.walk"}})), ErrorCode::kInvalidArgument);
}


TEST_P(IdentityAttacks, EveryKeyThatDoesNotWorkGetsTheSameAnswer) {
  ASSERT_TRUE(identity_->create_user(operator_, "bob"));
  const std::string good = issue().secret, other = issue().secret;
  const IssuedKey revoked = issue();
  ASSERT_TRUE(identity_->revoke_key(operator_, revoked.key.id));
  const std::string disabled = issue({"", "bob", "", "viewer", {}}).secret;
  const std::string expired = issue({"", "", "", "viewer", clock_.time + kSecond}).secret;
  ASSERT_TRUE(identity_->authenticate(disabled));
  ASSERT_TRUE(identity_->authenticate(expired));
  ASSERT_TRUE(identity_->disable_user(operator_, "bob", true));
  clock_.time += kSecond;

  ASSERT_TRUE(identity_->authenticate(good));
  std::string changed = good, upper = good, unknown = good;
  changed.back() = changed.back() == '0' ? '1' : '0';
  std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  unknown[10] = unknown[10] == '0' ? '1' : '0';
  const std::string table[] = {
      revoked.secret, disabled, expired, changed, upper, unknown,
      good.substr(0, 25) + other.substr(25),  // the prefix of one key, the secret of another
      good + "0", good.substr(0, good.size() - 1), good.substr(8), "Bearer " + good, "", "sk-stoa-", "sk-", std::string(1 << 20, 'x'),
      "sk-stoa-" + std::string(good.size() - 8, '\xff'), "sk-stoa-" + std::string(good.size() - 8, '\0'), "sk-stoa-' OR 1=1 --" + good.substr(19),
  };
  std::set<std::string> answers;
  for (const auto& key : table) {
    const auto principal = identity_->authenticate(key);
    ASSERT_FALSE(principal) << key.substr(0, 100);
    EXPECT_EQ(principal.error().code, ErrorCode::kUnauthenticated);
    answers.insert(principal.error().message + principal.error().hint);
  }
  EXPECT_EQ(answers.size(), 1u);

  ASSERT_TRUE(identity_->disable_user(operator_, "bob", false));
  EXPECT_TRUE(identity_->authenticate(disabled));
}

TEST_P(IdentityContract, KeysAreStoredAsHashesOfThisInstallation) {
  const IssuedKey issued = issue();
  const auto row = *database_->query_one("SELECT hash, prefix || id || label || role FROM api_keys");
  EXPECT_EQ(row->get<Bytes>(0)->size(), 32u);
  EXPECT_TRUE(issued.secret.starts_with("sk-stoa-" + issued.key.prefix + "-"));
  EXPECT_EQ(row->get<std::string>(1)->find(issued.secret.substr(25)), std::string::npos);
  const auto elsewhere = *Identity::open(*database_, *audit_, *access_, secret_of('t'), clock_);
  EXPECT_EQ(code_of(elsewhere->authenticate(issued.secret)), ErrorCode::kUnauthenticated);
  EXPECT_EQ(code_of(Identity::open(*database_, *audit_, *access_, Bytes(8), clock_)), ErrorCode::kInvalidArgument);
}

TEST_P(IdentityContract, RevocationWorksAtOnceAlsoElsewhere) {
  const auto other_process = *Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_);
  const IssuedKey issued = issue();
  ASSERT_TRUE(other_process->authenticate(issued.secret));
  ASSERT_TRUE(identity_->revoke_key(operator_, issued.key.prefix));
  EXPECT_EQ(code_of(other_process->authenticate(issued.secret)), ErrorCode::kUnauthenticated);
  const Micros revoked = *identity_->keys(operator_)->front().revoked;
  clock_.time += kMinute;
  ASSERT_TRUE(identity_->revoke_key(operator_, issued.key.id));  // again: nothing changes
  EXPECT_EQ(*identity_->keys(operator_)->front().revoked, revoked);
  EXPECT_EQ(audited("identity.key.revoke").size(), 1u);
  const auto unknown = identity_->revoke_key(operator_, "sk-stoa-pasted-by-mistake");
  EXPECT_EQ(code_of(unknown), ErrorCode::kNotFound);
  EXPECT_EQ(unknown.error().message.find("pasted"), std::string::npos);
}

TEST_P(IdentityContract, LastUseIsKeptToTheMinute) {
  const IssuedKey issued = issue();
  const auto last_used = [&] { return identity_->keys(operator_)->front().last_used; };
  EXPECT_FALSE(last_used());
  const Micros start = clock_.time;
  const struct { Micros time, expected; } table[] = {{start + 5 * kSecond, start}, {start + 59 * kSecond, start}, {start + kMinute, start + kMinute}, {start, start + kMinute}};
  for (const auto& [time, expected] : table) {
    clock_.time = time;
    ASSERT_TRUE(identity_->authenticate(issued.secret));
    EXPECT_EQ(last_used(), expected);
  }
}

TEST_P(IdentityAttacks, TenantsAreWalls) {
  ASSERT_TRUE(identity_->create_tenant(operator_, "acme"));
  const Call theirs = Call::of(*identity_->local_operator("acme"));
  EXPECT_NE(theirs.principal.tenant, operator_.principal.tenant);
  ASSERT_TRUE(identity_->create_user(operator_, "ann"));
  ASSERT_TRUE(identity_->create_user(theirs, "ann"));  // a name of its own in each tenant
  ASSERT_TRUE(identity_->create_user(theirs, "zoe"));
  const IssuedKey our_key = issue({"", "ann", "", "admin", {}});
  const Call ann = Call::of(*identity_->authenticate(our_key.secret));
  const IssuedKey their_key = *identity_->issue_key(theirs, {"default", "ann", "", "admin", {}});
  const Call their_ann = Call::of(*identity_->authenticate(their_key.secret));
  EXPECT_EQ(their_ann.principal.tenant, theirs.principal.tenant);
  EXPECT_NE(their_ann.principal.id, ann.principal.id);

  EXPECT_EQ(code_of(identity_->issue_key(ann, {theirs.principal.project, "", "", "viewer", {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->issue_key(ann, {"", "zoe", "", "viewer", {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->revoke_key(ann, their_key.key.id)), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->revoke_key(ann, their_key.key.prefix)), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->set_groups(ann, "zoe", {"eng"})), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->disable_user(ann, "zoe", true)), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->create_tenant(ann, "mine")), ErrorCode::kPermissionDenied);
  EXPECT_EQ(code_of(identity_->local_operator("mine")), ErrorCode::kNotFound);
  EXPECT_EQ(identity_->users(ann)->size(), 1u);
  EXPECT_EQ(identity_->users(their_ann)->size(), 2u);
  EXPECT_EQ(identity_->keys(ann)->size(), 1u);
  EXPECT_EQ(identity_->projects(ann)->size(), 1u);
  EXPECT_TRUE(identity_->authenticate(their_key.secret));
}

TEST_P(IdentityContract, ProjectsOfOneTenant) {
  const Project lab = *identity_->create_project(operator_, "lab");
  const IssuedKey by_name = issue({"lab", "", "", "developer", {}}), by_id = issue({lab.id, "", "", "admin", {}});
  const Call developer = Call::of(*identity_->authenticate(by_name.secret)), admin = Call::of(*identity_->authenticate(by_id.secret));
  EXPECT_EQ(developer.principal.project, lab.id);
  EXPECT_EQ(admin.principal.project, lab.id);
  EXPECT_EQ(identity_->keys(operator_)->size(), 0u);
  EXPECT_EQ(identity_->keys(admin)->size(), 2u);
  const auto names = [&](const Call& actor) {
    std::vector<std::string> all;
    const auto projects = *identity_->projects(actor);
    for (const auto& project : projects) all.push_back(project.name);
    return all;
  };
  EXPECT_EQ(names(admin), (std::vector<std::string>{"default", "lab"}));
  EXPECT_EQ(names(developer), std::vector<std::string>{"lab"});
  EXPECT_TRUE(identity_->revoke_key(operator_, by_name.key.id));  // an admin's reach is the tenant
}

TEST_P(IdentityContract, OnlyAdminsChangeAndRefusalsAreRecorded) {
  const IssuedKey key = issue();
  ASSERT_TRUE(identity_->create_user(operator_, "ann"));
  for (const char* role : {"viewer", "developer", "operator"}) {
    const Call actor = with(role);
    const ErrorCode answers[] = {
        code_of(identity_->create_tenant(actor, "t")),   code_of(identity_->create_project(actor, "p")),
        code_of(identity_->create_user(actor, "u")),     code_of(identity_->set_groups(actor, "ann", {})),
        code_of(identity_->users(actor)),                code_of(identity_->disable_user(actor, "ann", true)),
        code_of(identity_->keys(actor)),                 code_of(identity_->issue_key(actor, {"", "", "", "viewer", {}})),
        code_of(identity_->issue_key(actor, {"", "", "", "admin", {}})), code_of(identity_->revoke_key(actor, key.key.id)),
    };
    for (const ErrorCode answer : answers) EXPECT_EQ(answer, ErrorCode::kPermissionDenied);
  }
  EXPECT_EQ(code_of(identity_->users(Call{})), ErrorCode::kPermissionDenied);
  const auto refused = audited("identity.key.revoke");
  ASSERT_EQ(refused.size(), 3u);
  for (const auto& entry : refused) {
    EXPECT_EQ(entry.outcome, Outcome::kDenied);
    EXPECT_EQ(entry.resource, "key " + key.key.id);
    EXPECT_FALSE(entry.reason.empty());
  }
  EXPECT_TRUE(identity_->authenticate(key.secret));
}

TEST_P(IdentityContract, ChangesAreRecordedWithThem) {
  ASSERT_TRUE(identity_->create_user(operator_, "ann"));
  const IssuedKey key = issue({"", "ann", "laptop", "viewer", {}});
  Trace trace(Trace::new_trace_id(), clock_);
  operator_.request_id = "req_1";
  operator_.trace = &trace;
  ASSERT_TRUE(identity_->disable_user(operator_, "ann", true));
  EXPECT_FALSE(identity_->create_user(operator_, "ann"));
  const struct { std::string action, resource; } table[] = {
      {"identity.tenant.create", "tenant default"}, {"identity.user.create", "user ann"}, {"identity.key.create", "key " + key.key.id}, {"identity.user.disable", "user ann"}};
  for (const auto& [action, resource] : table) {
    const auto entries = audited(action);
    ASSERT_EQ(entries.size(), 1u) << action;
    EXPECT_EQ(entries[0].resource, resource);
    EXPECT_EQ(entries[0].principal, operator_.principal.id);
    EXPECT_EQ(entries[0].outcome, Outcome::kAllowed);
    EXPECT_EQ(entries[0].trace_id, action == "identity.user.disable" ? trace.id() : "");
    EXPECT_EQ(entries[0].request_id, action == "identity.user.disable" ? "req_1" : "");
    EXPECT_EQ(entries[0].reason.find(key.secret), std::string::npos);
  }
}

TEST_P(IdentityContract, DefaultIsMadeOnce) {
  const auto first = *identity_->ensure_default();
  const auto again = *(*Identity::open(*database_, *audit_, *access_, secret_of('s'), clock_))->ensure_default();
  EXPECT_EQ(again.tenant.id, first.tenant.id);
  EXPECT_EQ(again.project.id, first.project.id);
  EXPECT_EQ(first.project.tenant, first.tenant.id);
  EXPECT_EQ(first.project.name, "default");
  EXPECT_EQ(operator_.principal.tenant, first.tenant.id);
}

TEST_P(IdentityContract, RefusesWhatCannotBe) {
  for (const std::string& name : {std::string(), std::string("a b"), std::string("a,user:b"), std::string("ann,"), std::string("é"), std::string("a/b"), std::string(129, 'a')}) {
    EXPECT_EQ(code_of(identity_->create_tenant(operator_, name)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(code_of(identity_->create_project(operator_, name)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(code_of(identity_->create_user(operator_, name)), ErrorCode::kInvalidArgument) << name;
    EXPECT_EQ(code_of(identity_->create_user(operator_, "ann", {name})), ErrorCode::kInvalidArgument) << name;
  }
  ASSERT_TRUE(identity_->create_user(operator_, std::string(128, 'a')));
  ASSERT_TRUE(identity_->create_user(operator_, "a.b_c@d+e-f9"));
  EXPECT_EQ(code_of(identity_->create_user(operator_, "a.b_c@d+e-f9")), ErrorCode::kConflict);
  EXPECT_EQ(code_of(identity_->create_project(operator_, "default")), ErrorCode::kConflict);
  EXPECT_EQ(code_of(identity_->create_tenant(operator_, "default")), ErrorCode::kConflict);
  std::vector<std::string> many;
  for (int i = 0; i < 257; ++i) many.push_back(fmt::format("g{}", i));
  EXPECT_EQ(code_of(identity_->create_user(operator_, "ann", many)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {"nowhere", "", "", "viewer", {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {.role = "rot"})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {"", "nobody", "", "viewer", {}})), ErrorCode::kNotFound);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {"", "", std::string(129, 'x'), "viewer", {}})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code_of(identity_->issue_key(operator_, {"", "", "", "viewer", clock_.time})), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stoa::governance
