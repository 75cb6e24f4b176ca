#include "governance/audit/strangers.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <thread>

#include "governance/audit/refusals.h"
#include "infra/journal/packing.h"
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
  // Without a credential that works.
  Status attempt(std::string address, std::string resource) {
    return strangers_->add({.address = std::move(address), .resource = std::move(resource), .reason = "unauthenticated"});
  }

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
      EXPECT_EQ(entry.action, entry.reason == "unauthenticated" ? StrangerLog::kAuthenticate : StrangerLog::kRefuse);
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
    for (int i = 0; i < 50; ++i, ++attempts) ASSERT_TRUE(attempt(i % 2 == 0 ? "192.0.2.1" : "192.0.2.2", "GET /v1/models"));
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
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(attempt(fmt::format("10.0.{}.{}", i / 256, i % 256), "GET /"));
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(attempt(fmt::format("2001:db8::{:x}", i), "GET /"));
  ASSERT_TRUE(behind_->catch_up());  // what is carried over late counts anew
  clock_.time += kMinute;
  const auto [count, attempts] = entries();
  EXPECT_LE(count, static_cast<std::size_t>(StrangerLog::kMaxAddresses) + 1);
  EXPECT_EQ(attempts, 2300);
}

TEST_P(StrangersContract, OneNetworkIsOneStranger) {
  begin();
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(attempt(fmt::format("2001:db8::{:x}", i), "GET /"));
  ASSERT_TRUE(behind_->catch_up());  // what is carried over late counts anew
  clock_.time += kMinute;
  EXPECT_EQ(entries(), std::make_pair(std::size_t{1}, std::int64_t{300}));
  EXPECT_EQ(audit_->query({.tenant = "tenant_1"})->at(0).address, "2001:db8::/64");
}

TEST_P(StrangersContract, KindsAreToldApart) {
  begin();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(attempt("192.0.2.1", "GET /"));
    ASSERT_TRUE(strangers_->add({.address = "192.0.2.1", .status = 413, .resource = "POST /v1/files?token=x", .reason = "413: too large", .count = 10}));
    ASSERT_TRUE(strangers_->add({.address = "192.0.2.1", .status = 0, .reason = "TLS handshake: " + std::string(1000, 'x')}));
    ASSERT_TRUE(strangers_->add({.address = "192.0.2.1", .status = 404, .resource = "GET /sk-stoa-abc-secret\xff", .reason = "404: Bearer eyabcdefgh"}));
    ASSERT_TRUE(behind_->catch_up());
  }
  clock_.time += kMinute;
  EXPECT_EQ(entries(), std::make_pair(std::size_t{4}, std::int64_t{39}));
  std::map<std::string, AuditEntry> by_resource;
  const auto found = audit_->query({.tenant = "tenant_1", .action = std::string(StrangerLog::kRefuse)});
  for (const auto& entry : *found) by_resource[entry.resource] = entry;
  EXPECT_EQ(by_resource["POST /v1/files?token=x"].count, 30);
  EXPECT_EQ(by_resource[""].reason.size(), 200u);
  const auto hidden = by_resource.find("GET /sk-stoa-***\xef\xbf\xbd");
  ASSERT_NE(hidden, by_resource.end());
  EXPECT_EQ(hidden->second.reason, "404: Bearer ***");
}

// What a server of an older release left in its journal.
TEST_P(StrangersContract, RecordsOfOlderReleasesCount) {
  begin();
  infra::Packer packer;
  packer.add(clock_.time).add("192.0.2.9").add("GET /old");
  ASSERT_TRUE(behind_->append(4, packer.text()));
  clock_.time += kMinute;
  EXPECT_EQ(entries(), std::make_pair(std::size_t{1}, std::int64_t{1}));
  EXPECT_EQ(audit_->query({.tenant = "tenant_1"})->at(0).resource, "GET /old");
}

TEST_P(StrangersContract, RefusalsAreCountedBehindTheCaller) {
  begin();
  constexpr int kThreads = 4, kEach = 500, kAddresses = 400;
  {
    RefusalLog refusals(*strangers_);
    std::vector<std::jthread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < kEach; ++i) refusals.add(fmt::format("10.0.{}.{}", i % kAddresses / 256, i % 256), i % 2 == 0 ? 400 : 404, "GET /", "no");
      });
  }
  ASSERT_TRUE(behind_->catch_up());
  clock_.time = Clock::system().now() + 10 * kMinute;
  const auto [count, attempts] = entries();
  EXPECT_EQ(attempts, kThreads * kEach) << "what waits is written when it ends";
  EXPECT_GT(count, 2u);
  EXPECT_EQ(audit_->query({.tenant = "tenant_1"})->at(0).reason.substr(0, 5), "400: ");
}

TEST_P(StrangersContract, RefusalsOfManyAddressesAreBounded) {
  begin();
  {
    RefusalLog refusals(*strangers_);
    for (int i = 0; i < 20'000; ++i) refusals.add(fmt::format("10.{}.{}.1", i / 256, i % 256), 400, "", "no");
  }
  EXPECT_LE(behind_->appended(), 20'000u * 3 / 4) << "those without a place of their own are counted together";
  ASSERT_TRUE(behind_->catch_up());
  clock_.time = Clock::system().now() + 10 * kMinute;
  EXPECT_EQ(entries().second, 20'000);
}

}  // namespace
}  // namespace stoa::governance
