#include "governance/audit/strangers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

constexpr Micros kMinute = 60'000'000;

struct TestClock final : Clock {
  Micros time = 1000 * kMinute;
  Micros now() const override { return time; }
};

class StrangersContract : public ::testing::TestWithParam<infra::SqlBackend> {
 protected:
  void begin() {
    behind_ = std::move(*infra::WriteBehind::open(*database_, folder_));
    audit_ = std::move(*AuditLog::open(*database_, clock_, behind_.get()));
    strangers_ = std::move(*StrangerLog::open(*database_, *audit_, "tenant_1", clock_, behind_.get()));
    ASSERT_TRUE(behind_->start());
  }
  void end() { behind_.reset(); }
  void TearDown() override {
    end();
    std::filesystem::remove_all(folder_);
  }
  // Entries by now, and the sum of what they count.
  std::pair<std::size_t, std::int64_t> entries() {
    EXPECT_TRUE(behind_->catch_up());
    EXPECT_TRUE(strangers_->close());
    std::pair<std::size_t, std::int64_t> out{0, 0};
    const auto found = audit_->query({.tenant = "tenant_1", .limit = 1000});
    for (const auto& entry : *found) {
      EXPECT_EQ(entry.action, StrangerLog::kAction);
      EXPECT_EQ(entry.outcome, Outcome::kDenied);
      ++out.first;
      out.second += entry.count;
    }
    return out;
  }
  TestClock clock_;
  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / fmt::format("stoa-strangers-test-{}", ::getpid());
  std::unique_ptr<infra::SqlDatabase> database_ = GetParam().open();
  std::unique_ptr<infra::WriteBehind> behind_;
  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<StrangerLog> strangers_;
};

INSTANTIATE_TEST_SUITE_P(, StrangersContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(StrangersContract, AnAddressIsOneEntryAMinuteAndEveryAttemptCounts) {
  std::int64_t attempts = 0;
  for (int run = 0; run < 4; ++run) {
    begin();
    for (int i = 0; i < 50; ++i, ++attempts) ASSERT_TRUE(strangers_->add(i % 2 == 0 ? "192.0.2.1" : "192.0.2.2", "GET /v1/models"));
    EXPECT_EQ(entries(), std::make_pair(std::size_t{0}, std::int64_t{0})) << "the minute is not over";
    end();  // also when the server is killed meanwhile
  }
  begin();
  clock_.time += kMinute;
  EXPECT_EQ(entries(), std::make_pair(std::size_t{2}, attempts));
  const auto entry = audit_->query({.tenant = "tenant_1"})->at(0);
  EXPECT_EQ(entry.address, "192.0.2.1");
  EXPECT_EQ(entry.count, attempts / 2);
  EXPECT_EQ(entry.resource, "GET /v1/models");
  EXPECT_EQ(entry.time, 1000 * kMinute);
  EXPECT_EQ(entries().first, 2u) << "once";
  EXPECT_EQ(audit_->verify()->broken, std::nullopt);
}

TEST_P(StrangersContract, ManyAddressesDoNotMakeManyEntries) {
  begin();
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(strangers_->add(fmt::format("10.0.{}.{}", i / 256, i % 256), "GET /"));
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(strangers_->add(fmt::format("2001:db8::{:x}", i), "GET /"));
  ASSERT_TRUE(behind_->catch_up());  // what is carried over late counts anew
  clock_.time += kMinute;
  const auto [count, attempts] = entries();
  EXPECT_LE(count, static_cast<std::size_t>(StrangerLog::kMaxAddresses) + 1);
  EXPECT_EQ(attempts, 2300);
}

TEST_P(StrangersContract, OneNetworkIsOneStranger) {
  begin();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(strangers_->add(fmt::format("2001:db8::{:x}", i), "GET /"));
  ASSERT_TRUE(behind_->catch_up());  // what is carried over late counts anew
  clock_.time += kMinute;
  EXPECT_EQ(entries(), std::make_pair(std::size_t{1}, std::int64_t{300}));
  EXPECT_EQ(audit_->query({.tenant = "tenant_1"})->at(0).address, "2001:db8::/64");
}

}  // namespace
}  // namespace stoa::governance
