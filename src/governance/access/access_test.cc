#include "governance/access/access.h"

#include <gtest/gtest.h>

namespace stoa::governance {
namespace {

Principal someone(Role role) {
  Principal principal;
  principal.id = "key_1";
  principal.tenant = "t1";
  principal.project = "p1";
  principal.role = role;
  return principal;
}

void check(Role role, Action action, const Resource& resource, bool allowed, std::string_view rule) {
  const Decision decision = decide(someone(role), action, resource);
  EXPECT_EQ(decision.allowed, allowed) << decision.reason;
  EXPECT_EQ(decision.rule, rule) << decision.reason;
  EXPECT_FALSE(decision.reason.empty());
}

TEST(AccessAttacks, RolesGiveActionsAndProjectsAreWalls) {
  const Resource own{"t1", "p1", "document doc_1", false};
  check(Role::kViewer, Action::kDocumentRead, own, true, "access.role");
  check(Role::kViewer, Action::kDocumentWrite, own, false, "access.role");
  check(Role::kDeveloper, Action::kDocumentWrite, own, true, "access.role");
  check(Role::kOperator, Action::kKeyManage, own, false, "access.role");
  check(Role::kAdmin, Action::kKeyManage, own, true, "access.role");
  check(Role::kOperator, Action::kDocumentRead, {"t1", "p2", "x", false}, false, "access.project");
  check(Role::kAdmin, Action::kDocumentRead, {"t1", "p2", "x", false}, true, "access.role");
  check(Role::kAdmin, Action::kDocumentRead, {"t2", "p1", "x", false}, false, "access.tenant");
  check(Role::kAdmin, Action::kTenantManage, own, false, "access.installation");
  check(Role::kAdmin, Action::kSystemRead, {"", "", "installation", false}, false, "access.installation");
}

TEST(AccessAttacks, NobodyMayNothing) {
  for (const auto& action : action_table()) {
    EXPECT_EQ(decide(Principal{}, action.action, {"t1", "p1", "x", false}).rule, "access.nobody");
    EXPECT_EQ(decide(Principal{}, action.action, {}).rule, "access.nobody");
  }
}

TEST(Access, TheTableIsInTheOrderOfTheActionsAndHigherRolesMayMore) {
  for (std::size_t i = 0; i < action_table().size(); ++i) EXPECT_EQ(static_cast<std::size_t>(action_table()[i].action), i);
  for (const auto& action : action_table()) {
    bool before = false;
    for (const Role role : {Role::kViewer, Role::kDeveloper, Role::kOperator, Role::kAdmin}) {
      const bool now = decide(someone(role), action.action, {"t1", "p1", "x", false}).allowed;
      EXPECT_TRUE(now || !before) << action.name;
      before = now;
    }
  }
}

TEST(AccessAttacks, AWallHidesWhatIsHidden) {
  const auto check_error = [](const Resource& resource, ErrorCode expected) {
    const auto permit = check_access(someone(Role::kDeveloper), Action::kDocumentRead, resource);
    ASSERT_FALSE(permit);
    EXPECT_EQ(permit.error().code, expected) << permit.error().message;
  };
  check_error({"t1", "p2", "document doc_1", true}, ErrorCode::kNotFound);
  check_error({"t2", "p1", "document doc_1", true}, ErrorCode::kNotFound);
  check_error({"t1", "p2", "document doc_1", false}, ErrorCode::kPermissionDenied);
  const Principal reader = someone(Role::kViewer);
  const auto permit = check_access(reader, Action::kDocumentRead, Resource::of(reader, "document doc_1"));
  ASSERT_TRUE(permit);
  EXPECT_EQ(permit->principal().id, "key_1");
  EXPECT_EQ(permit->action(), Action::kDocumentRead);
}

TEST(AccessAttacks, ScopesCapWhatARoleGives) {
  auto key = someone(Role::kDeveloper);
  key.scopes = {"model.use", "document.*"};
  const Resource own{"t1", "p1", "x", false};
  for (const auto& action : action_table()) {
    if (action.action == Action::kTenantManage) continue;
    const auto decision = decide(key, action.action, own);
    const bool in = action.name == "model.use" || action.name.starts_with("document.");
    EXPECT_EQ(decision.allowed, in) << action.name;
    EXPECT_EQ(decision.rule, Role::kDeveloper < action.least || in ? "access.role" : "access.scope") << action.name;
  }
  key.scopes = {"key.manage"};
  EXPECT_FALSE(decide(key, Action::kKeyManage, own).allowed) << "a scope gives nothing that the role does not";
}

TEST(Access, ScopesAreActions) {
  using Scopes = std::vector<std::string>;
  for (const Scopes& good : {Scopes{}, Scopes{"model.use"}, Scopes{"model.*", "audit.read"}}) EXPECT_TRUE(check_scopes(good));
  for (const Scopes& wrong : {Scopes{""}, Scopes{"*"}, Scopes{".*"}, Scopes{"model"}, Scopes{"model.us"}, Scopes{"model.use", "moon.*"}, Scopes(33, "model.use")})
    EXPECT_EQ(check_scopes(wrong).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(scopes_within(Scopes{"document.read"}, Scopes{"document.*"}));
  EXPECT_TRUE(scopes_within(Scopes{"document.*"}, Scopes{"document.read", "document.write"}));
  EXPECT_TRUE(scopes_within(Scopes{"document.*"}, Scopes{}));
  EXPECT_FALSE(scopes_within(Scopes{"document.*"}, Scopes{"document.read"}));
  EXPECT_FALSE(scopes_within(Scopes{}, Scopes{"document.*"})) << "without scopes a key may all";
}

TEST(Access, RoleNamesAreRead) {
  for (const Role role : {Role::kViewer, Role::kDeveloper, Role::kOperator, Role::kAdmin}) EXPECT_EQ(parse_role(role_name(role)), role);
  EXPECT_FALSE(parse_role("root"));
  EXPECT_FALSE(parse_role(""));
}

}  // namespace
}  // namespace stoa::governance
