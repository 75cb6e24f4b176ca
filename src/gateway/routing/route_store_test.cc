#include "gateway/routing/route_store.h"

#include <gtest/gtest.h>

#include "governance/access/test_access.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::gateway {
namespace {

Call someone(std::string project, std::string role) {
  Principal principal;
  principal.id = "user_" + role;
  principal.tenant = "tenant_t";
  principal.project = std::move(project);
  principal.role = std::move(role);
  return Call::of(principal);
}

class RouteStoreContract : public testing::TestWithParam<infra::SqlBackend> {
 protected:
  Result<governance::TextVersion> set(std::string name, std::string model, std::optional<std::int64_t> expected = {}) {
    return store_->texts().set(admin_, {.name = std::move(name), .text = fmt::format("targets: [{{model: {}}}]", model), .comment = "", .expected = expected});
  }
  std::string served(std::string_view name, std::string_view project = "proj_a") {
    const auto route = store_->find(project, name);
    return route ? route->targets.front().model : "";
  }

  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<governance::AuditLog> audit_ = *governance::AuditLog::open(*database_);
  std::unique_ptr<governance::Access> access_ = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<RouteStore> store_ = *RouteStore::open(*database_, *audit_, *access_);
  const Call admin_ = someone("proj_a", "admin"), viewer_ = someone("proj_a", "viewer"), other_ = someone("proj_b", "admin");
};

INSTANTIATE_TEST_SUITE_P(, RouteStoreContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(RouteStoreContract, EveryChangeIsAVersionAndInForceAtOnce) {
  EXPECT_EQ(served("r"), "");
  EXPECT_EQ(set("r", "one")->version, 1);
  EXPECT_EQ(served("r"), "one");
  EXPECT_EQ(set("r", "two", 1)->version, 2);
  EXPECT_EQ(served("r"), "two");
  EXPECT_EQ(set("r", "three", 1).error().code, ErrorCode::kConflict);
  EXPECT_EQ(store_->texts().rollback(admin_, "r", 1, "")->version, 3);
  EXPECT_EQ(served("r"), "one");
  EXPECT_EQ(store_->texts().remove(admin_, "r", "gone")->version, 4);
  EXPECT_EQ(served("r"), "");
  EXPECT_EQ(store_->texts().get(admin_, "r").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->texts().remove(admin_, "r", "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->texts().rollback(admin_, "r", 4, "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->texts().rollback(admin_, "r", 9, "").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store_->texts().rollback(admin_, "r", 2, "")->version, 5);
  EXPECT_EQ(served("r"), "two");
  const auto history = store_->texts().history(viewer_, "r");
  ASSERT_TRUE(history);
  ASSERT_EQ(history->size(), 5U);
  EXPECT_TRUE((*history)[1].removed);
  EXPECT_EQ((*history)[1].comment, "gone");
  EXPECT_EQ(store_->texts().list(viewer_)->size(), 1U);
  std::vector<std::string> told;
  const auto entries = *audit_->query({});
  for (const auto& entry : entries) told.push_back(entry.action + " " + entry.resource);
  EXPECT_EQ(told, (std::vector<std::string>{"route.set route r@1", "route.set route r@2", "route.rollback route r@3", "route.remove route r@4", "route.rollback route r@5"}));
}

TEST_P(RouteStoreContract, ProjectsAreWalls) {
  ASSERT_TRUE(set("r", "one"));
  EXPECT_EQ(served("r", "proj_b"), "");
  EXPECT_EQ(store_->texts().get(other_, "r").error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(store_->texts().list(other_)->empty());
  EXPECT_TRUE(store_->names("proj_b").empty());
  ASSERT_TRUE(set("s", "one"));
  EXPECT_EQ(store_->names("proj_a"), (std::vector<std::string>{"r", "s"}));
}

TEST_P(RouteStoreContract, WhoMayNotChangeIsRefusedAndRecorded) {
  const auto refused = store_->texts().set(viewer_, {.name = "r", .text = "targets: [{model: a}]", .comment = "", .expected = {}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(store_->texts().remove(viewer_, "r", "").error().code, ErrorCode::kPermissionDenied);
  const auto entries = *audit_->query({});
  for (const auto& entry : entries) EXPECT_EQ(entry.outcome, governance::Outcome::kDenied);
  EXPECT_EQ(entries.size(), 2U);
}

TEST_P(RouteStoreContract, WhatIsWrongIsNotStored) {
  EXPECT_EQ(set("-r", "a").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->texts().set(admin_, {.name = "r", .text = "targets: []", .comment = "", .expected = {}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(store_->texts().set(admin_, {.name = "r", .text = "targets: [{model: a}]", .comment = std::string(513, 'x'), .expected = {}}).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(store_->texts().list(admin_)->empty());
}

TEST_P(RouteStoreContract, ChangesElsewhereAreSeen) {
  const auto elsewhere = *RouteStore::open(*database_, *audit_, *access_);
  ASSERT_TRUE(elsewhere->texts().set(admin_, {.name = "r", .text = "targets: [{model: far}]", .comment = "", .expected = {}}));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (served("r").empty() && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(served("r"), "far");
  const auto again = *RouteStore::open(*database_, *audit_, *access_);
  ASSERT_NE(again->find("proj_a", "r"), nullptr) << "at the next start";
}

}  // namespace
}  // namespace stoa::gateway
