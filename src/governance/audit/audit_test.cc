#include "governance/audit/audit.h"

#include <gtest/gtest.h>

#include "contracts/events.h"
#include "governance/audit/request_audit.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

class AuditTest : public ::testing::Test {
 protected:
  void SetUp() override {
    database_ = std::move(*infra::open_memory());
    audit_ = std::move(*AuditLog::open(*database_));
    for (int i = 1; i <= 5; ++i) ASSERT_TRUE(audit_->append(entry(i % 2 == 0 ? "ann" : "bob", fmt::format("doc_{}", i))));
  }
  static AuditEntry entry(std::string principal, std::string resource) {
    AuditEntry entry;
    entry.principal = std::move(principal);
    entry.tenant = "t1";
    entry.action = "document.read";
    entry.resource = std::move(resource);
    entry.reason = "access.role";
    return entry;
  }
  // What somebody with the database file can do behind the program's back.
  void tamper(const std::string& sql) {
    ASSERT_TRUE(database_->execute("DROP TRIGGER IF EXISTS audit_no_update"));
    ASSERT_TRUE(database_->execute("DROP TRIGGER IF EXISTS audit_no_delete"));
    ASSERT_TRUE(database_->execute(sql)) << sql;
  }
  void check_broken(std::optional<std::int64_t> expected, const std::optional<std::string>& head = std::nullopt) {
    const auto check = audit_->verify(head);
    ASSERT_TRUE(check) << check.error().message;
    EXPECT_EQ(check->broken, expected) << check->reason;
  }
  std::unique_ptr<infra::SqlDatabase> database_;
  std::unique_ptr<AuditLog> audit_;
};

TEST_F(AuditTest, NumbersAndFilters) {
  const auto all = audit_->query({});
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 5u);
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ((*all)[i].sequence, static_cast<std::int64_t>(i) + 1);
  const auto count = [&](AuditQuery query) { return audit_->query(query)->size(); };
  EXPECT_EQ(count({.principal = "ann"}), 2u);
  EXPECT_EQ(count({.resource = "doc_3"}), 1u);
  EXPECT_EQ(count({.tenant = "other"}), 0u);
  EXPECT_EQ(count({.after = 3}), 2u);
  EXPECT_EQ(count({.limit = 4}), 4u);
  EXPECT_EQ(count({.from = INT64_MAX - 1}), 0u);
  EXPECT_FALSE(audit_->query({.limit = 0}));
  EXPECT_FALSE(audit_->query({.limit = 1001}));
}

TEST_F(AuditTest, RefusesChanges) {
  EXPECT_FALSE(database_->execute("UPDATE audit_log SET outcome = 'denied' WHERE sequence = 1"));
  EXPECT_FALSE(database_->execute("DELETE FROM audit_log"));
  check_broken(std::nullopt, *audit_->head());
}

TEST_F(AuditTest, FindsWhereItWasTamperedWith) {
  const std::string head = *audit_->head();
  tamper("UPDATE audit_log SET resource = 'doc_x' WHERE sequence = 3");
  check_broken(3);
  tamper("UPDATE audit_log SET resource = 'doc_3' WHERE sequence = 3");
  check_broken(std::nullopt, head);
  tamper("DELETE FROM audit_log WHERE sequence = 2");
  check_broken(2);
}

TEST_F(AuditTest, FindsACutOffEndAgainstAHeadKeptElsewhere) {
  const std::string head = *audit_->head();
  tamper("DELETE FROM audit_log WHERE sequence = 5");
  check_broken(std::nullopt);
  check_broken(5, head);
}

TEST_F(AuditTest, AnEntryCommitsWithItsChangeOrNotAtAll) {
  const Status failed = database_->transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_CHECK(audit_->append(transaction, entry("ann", "doc_9")));
    return fail(ErrorCode::kInternal, "no");
  });
  EXPECT_FALSE(failed);
  EXPECT_EQ(audit_->query({})->size(), 5u);
  check_broken(std::nullopt);
}

TEST_F(AuditTest, AFinishedRequestIsEnteredOnceHoweverOftenItIsTold) {
  const auto handle = audit_requests(*audit_);
  RequestFinished request;
  request.request_id = "req_9";
  request.principal = "user_ann";
  request.action = "model.use";
  request.resource = "POST /v1/chat/completions";
  request.started = 1'000;
  request.duration_micros = 5;
  for (const char* error : {"", "permission_denied", "not_found"}) {
    request.error = error;
    request.request_id += error;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(handle({.sequence = 1, .topic = "", .key = "", .payload = request.to_json(), .time = 7}));
  }
  EXPECT_TRUE(handle({.sequence = 1, .topic = "", .key = "", .payload = "no event", .time = 7})) << "must not hold up the others";
  const auto entries = audit_->query({.tenant = "", .principal = "user_ann", .action = "", .resource = ""});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->size(), 3u);
  EXPECT_EQ(entries->at(0).time, 1'005);
  EXPECT_EQ(entries->at(0).outcome, Outcome::kAllowed);
  EXPECT_EQ(entries->at(1).outcome, Outcome::kDenied);
  EXPECT_EQ(entries->at(2).outcome, Outcome::kFailed);
  EXPECT_EQ(entries->at(2).reason, "not_found");
  check_broken(std::nullopt);
}

}  // namespace
}  // namespace stoa::governance
