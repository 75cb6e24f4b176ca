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

TEST(Access, RoleNamesAreRead) {
  for (const Role role : {Role::kViewer, Role::kDeveloper, Role::kOperator, Role::kAdmin}) EXPECT_EQ(parse_role(role_name(role)), role);
  EXPECT_FALSE(parse_role("root"));
  EXPECT_FALSE(parse_role(""));
}

}  // namespace
}  // namespace stoa::governance
