#include "governance/cost/ledger.h"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/id.h"
#include "infra/journal/write_behind.h"
#include "infra/sql/sqlite/backends.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::governance {
namespace {

constexpr std::string_view kPrices = R"(
currency: USD
as_of: "2026-01-01"
source: test
prices:
  - {model: local, per_compute_second: 1000000}
  - {model: "far/*", per_million_output_tokens: 2000000}
  - {model: far/best, per_million_output_tokens: 9000000}
  - {model: tokens, per_million_input_tokens: 3000000, per_million_cached_tokens: 300000, per_million_output_tokens: 15000000}
)";

PriceBook book() { return *PriceBook::parse(kPrices, "prices.yaml"); }

Call call_of(std::string request, std::string project = "p1") {
  Call call;
  call.principal.id = "key_1";
  call.principal.key = "key_secret";
  call.principal.tenant = "t1";
  call.principal.project = std::move(project);
  call.request_id = std::move(request);
  return call;
}

void check_cost(std::string_view model, const Usage& usage, std::optional<Money> expected) {
  const auto cost = book().cost(model, usage);
  ASSERT_EQ(cost.has_value(), expected.has_value()) << model;
  if (expected) {
    EXPECT_EQ(*cost, *expected) << model;
  }
}

TEST(PriceBook, PricesEachPartRoundedUp) {
  check_cost("local", {.compute_micros = 1}, 1);
  check_cost("local", {.compute_micros = 1'500'000}, 1'500'000);
  check_cost("tokens", {}, 0);
  check_cost("tokens", {.prompt_tokens = 1}, 3);
  check_cost("tokens", {.prompt_tokens = 100, .cached_tokens = 90, .completion_tokens = 10}, 30 + 27 + 150);
  check_cost("other", {}, std::nullopt);
  check_cost("far/best", {.completion_tokens = 1}, 9);
  check_cost("far/other", {.completion_tokens = 1}, 2);
  check_cost("near/other", {.completion_tokens = 1}, std::nullopt);
  check_cost("tokens", {.prompt_tokens = -1}, std::nullopt);
  check_cost("tokens", {.prompt_tokens = 1, .cached_tokens = 2}, std::nullopt);
  check_cost("tokens", {.prompt_tokens = INT64_MAX}, std::nullopt);
}

void check_refused(std::string yaml, std::string_view words) {
  const auto refused = PriceBook::parse(yaml, "prices.yaml");
  ASSERT_FALSE(refused) << yaml;
  EXPECT_NE(refused.error().message.find(words), std::string::npos) << refused.error().message;
}

TEST(PriceBook, NamesMistakes) {
  const std::string head = "currency: USD\nas_of: x\nsource: y\nprices:\n";
  check_refused(head + "  - {model: a, per_compute_second: -1}\n", "prices.yaml:5");
  check_refused(head + "  - {model: a}\n  - {model: a}\n", "twice");
  check_refused(head + "  - {model: a, per_second: 1}\n", "per_second");
  check_refused("currency: USD\n", "as_of");
}

TEST(PriceBook, TheShippedOneIsRead) {
  const auto shipped = PriceBook::load(STOA_SOURCE_DIR "/share/prices.yaml");
  ASSERT_TRUE(shipped) << shipped.error().message;
  EXPECT_GT(*shipped->cost("smollm2-135m-instruct", {.compute_micros = 1'000'000}), 0);
}

TEST(Money, IsWritten) {
  EXPECT_EQ(format_money(1'234'567, "USD"), "1.234567 USD");
  EXPECT_EQ(format_money(-5, "EUR"), "-0.000005 EUR");
  EXPECT_EQ(format_money(INT64_MIN, "X"), "-9223372036854.775808 X");
}

class LedgerContract : public ::testing::TestWithParam<infra::SqlBackend> {
 protected:
  LedgerContract() : database_(GetParam().open()), prices_(book()), ledger_(std::move(*Ledger::open(*database_, prices_))) {}
  Result<Money> spend(const std::string& request, std::int64_t compute_micros, Money estimate = 0, const std::string& project = "p1") {
    STOA_TRY(reservation, ledger_->reserve(call_of(request, project), "chat", "local", estimate));
    return ledger_->settle(reservation, {.compute_micros = compute_micros});
  }
  std::unique_ptr<infra::SqlDatabase> database_;
  PriceBook prices_;
  std::unique_ptr<Ledger> ledger_;
};

INSTANTIATE_TEST_SUITE_P(, LedgerContract, testing::ValuesIn(infra::sqlite_backends()), [](const auto& info) { return info.param.name; });

TEST_P(LedgerContract, SettlesOnce) {
  auto first = ledger_->reserve(call_of("req_1"), "chat", "local", 10);
  auto second = ledger_->reserve(call_of("req_1"), "chat", "local", 10);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(ledger_->budget("p1")->reserved, 20);
  EXPECT_EQ(*ledger_->settle(*first, {.compute_micros = 7}), 7);
  EXPECT_EQ(*ledger_->settle(*second, {.compute_micros = 99}), 7);
  EXPECT_FALSE(ledger_->settle(*second, {.compute_micros = 99}));
  EXPECT_EQ(ledger_->rows("req_1")->size(), 1u);
  EXPECT_EQ(ledger_->budget("p1")->reserved, 0);
  EXPECT_EQ(spend("req_1", 1).error().code, ErrorCode::kConflict);
  EXPECT_FALSE(database_->execute("UPDATE usage_ledger SET cost = 0"));
}

TEST_P(LedgerContract, WhoDidTheWorkIsPricedAndRecorded) {
  auto reserved = ledger_->reserve(call_of("req_1"), "chat", "route", 10);
  ASSERT_TRUE(reserved);
  reserved->done_by("far/best");
  EXPECT_EQ(*ledger_->settle(*reserved, {.completion_tokens = 3}), 27);
  const UsageRow row = ledger_->rows("req_1")->front();
  EXPECT_EQ(std::tie(row.model, row.asked, row.key), std::make_tuple("far/best", "route", "key_secret"));
  ASSERT_TRUE(spend("req_2", 7, 10, "p2"));
  EXPECT_EQ(ledger_->rows("req_2")->front().asked, "") << "the model's own name is not kept twice";
}

TEST_P(LedgerContract, TellsWhatWasUsedLately) {
  const auto recent = [&](Micros from) {
    std::string all;
    EXPECT_TRUE(ledger_->recent(from, INT64_MAX / 4, [&](const RecentUse& use) { all += fmt::format("{} {} {} {}: {} {} {}\n", use.project, use.principal, use.key, use.model, use.requests, use.tokens, use.cost); }));
    return all;
  };
  EXPECT_EQ(recent(0), "");
  ASSERT_TRUE(spend("req_1", 5) && spend("req_2", 7) && spend("req_3", 1, 10, "p2"));
  auto hedge = ledger_->reserve(call_of("req_1"), "chat.hedge1", "far/best", 10);
  ASSERT_TRUE(hedge);
  hedge->asked_for("local");
  ASSERT_TRUE(ledger_->settle(*hedge, {.completion_tokens = 3}));
  auto ingest = ledger_->reserve(call_of("job_1"), "ingest", "local", 10);
  ASSERT_TRUE(ingest && ledger_->settle(*ingest, {.compute_micros = 9}));
  EXPECT_EQ(recent(0), "p1 key_1 key_secret local: 2 0 39\np2 key_1 key_secret local: 1 0 1\n");
  EXPECT_EQ(recent(ledger_->rows("job_1")->front().time + 1), "");
  EXPECT_FALSE(ledger_->recent(0, 0, [](const RecentUse&) {}));
}

TEST_P(LedgerContract, GivesBackWhatIsNotSettled) {
  { auto dropped = ledger_->reserve(call_of("req_1"), "chat", "local", 10); }
  EXPECT_EQ(ledger_->budget("p1")->reserved, 0);
  auto lost = ledger_->reserve(call_of("req_2"), "chat", "local", 10);
  EXPECT_EQ(ledger_->budget("p1")->reserved, 10);
  auto reopened = Ledger::open(*database_, prices_);
  EXPECT_EQ((*reopened)->budget("p1")->reserved, 0);
}

TEST_P(LedgerContract, ABudgetStopsSpendingBeforeItHappens) {
  ASSERT_TRUE(ledger_->set_budget("p1", 100));
  EXPECT_TRUE(spend("req_1", 60, 60));
  EXPECT_EQ(spend("req_2", 41, 41).error().code, ErrorCode::kResourceExhausted);
  auto held = ledger_->reserve(call_of("req_3"), "chat", "local", 40);
  EXPECT_TRUE(held);
  EXPECT_EQ(spend("req_4", 1, 1).error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(spend("req_5", 1000, 1000, "p2"));
  held->release();
  EXPECT_TRUE(spend("req_6", 40, 40));
  ASSERT_TRUE(ledger_->set_budget("p1", std::nullopt));
  EXPECT_TRUE(spend("req_7", 1000, 1000));
}

// Whatever happens to calls, the totals by any grouping are the sum of what settle() said.
TEST_P(LedgerContract, TotalsAreTheSumOfSettledCosts) {
  std::mt19937 random(7);
  Money expected = 0;
  for (int i = 0; i < 300; ++i) {
    const std::string request = fmt::format("req_{}", random() % 200);
    auto reservation = ledger_->reserve(call_of(request, random() % 2 == 0 ? "p1" : "p2"), random() % 2 == 0 ? "chat" : "embedding", "local", random() % 50);
    if (!reservation || random() % 5 == 0) continue;  // settled before, or the call fails
    expected += *ledger_->settle(*reservation, {.prompt_tokens = static_cast<std::int64_t>(random() % 100), .compute_micros = static_cast<std::int64_t>(random() % 1000)});
  }
  for (const auto by : {UsageGroup::kNone, UsageGroup::kProject, UsageGroup::kPrincipal, UsageGroup::kModel, UsageGroup::kDay, UsageGroup::kKind}) {
    UsageQuery query;
    query.by = by;
    Money sum = 0;
    const auto totals = ledger_->usage(query);
    ASSERT_TRUE(totals) << totals.error().message;
    for (const auto& total : *totals) sum += total.cost;
    EXPECT_EQ(sum, expected);
  }
  EXPECT_EQ(ledger_->budget("p1")->reserved + ledger_->budget("p2")->reserved, 0);
}

// Runs that end at random points, nothing carried over at the end: spending is the sum of what settle() said, however often.
TEST(LedgerBehind, SpendingAfterAnyEndIsTheSumOfSettledWork) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("stoa-ledger-behind-{}", ::getpid());
  std::mt19937 random(11);
  const PriceBook prices = book();
  const auto database = std::move(*infra::open_memory());
  Money expected = 0;
  std::size_t settled = 0;
  for (int run = 0; run < 30; ++run) {
    const auto behind = std::move(*infra::WriteBehind::open(*database, folder));
    const auto ledger = std::move(*Ledger::open(*database, prices, Clock::system(), behind.get()));
    ASSERT_TRUE(behind->start());
    EXPECT_EQ(ledger->budget("p1")->spent, expected) << "run " << run;
    EXPECT_EQ(ledger->budget("p1")->reserved, 0);
    std::vector<Reservation> open;
    for (auto steps = random() % 60; steps > 0; --steps) {
      // Some requests come again, of this run or of one before.
      const std::string request = random() % 4 == 0 ? fmt::format("job_{}", random() % 50) : new_id("req");
      auto reservation = ledger->reserve(call_of(request), "chat", "local", random() % 50);
      if (!reservation) {
        EXPECT_EQ(reservation.error().code, ErrorCode::kConflict);
        EXPECT_EQ(ledger->rows(request)->size(), 1u);
        continue;
      }
      if (random() % 6 == 0) {
        open.push_back(std::move(*reservation));
        continue;
      }
      const auto cost = ledger->settle(*reservation, {.compute_micros = static_cast<std::int64_t>(random() % 1000)});
      ASSERT_TRUE(cost);
      expected += *cost;
      ++settled;
      if (random() % 20 == 0) {
        EXPECT_EQ(ledger->usage({})->at(0).cost, expected);
      }
    }
    EXPECT_EQ(ledger->budget("p1")->spent, expected);
  }
  EXPECT_EQ(static_cast<std::size_t>(*(*database->query_one("SELECT COUNT(*) FROM usage_ledger"))->get<std::int64_t>(0)), settled) << "the last run's too, once it was carried over";
  std::filesystem::remove_all(folder);
}

// More than it remembers: those it has forgotten are looked up.
TEST(LedgerBehind, WhatItHasForgottenItLooksUp) {
  const PriceBook prices = book();
  const auto database = std::move(*infra::open_memory());
  const auto ledger = std::move(*Ledger::open(*database, prices));
  std::vector<std::string> requests;
  for (int i = 0; i < 10'000; ++i) {
    requests.push_back(new_id("req"));
    auto reservation = ledger->reserve(call_of(requests.back()), "chat", "local", 1);
    ASSERT_TRUE(reservation && ledger->settle(*reservation, {.compute_micros = 1}));
  }
  for (const auto& request : requests) ASSERT_EQ(ledger->reserve(call_of(request), "chat", "local", 1).error().code, ErrorCode::kConflict);
  EXPECT_EQ(ledger->budget("p1")->spent, 10'000);
}

// A child settles and says so over a pipe until it is killed; what it said is in the ledger, once.
TEST(LedgerKill, WhatWasAcknowledgedSurvives) {
  std::string folder = (std::filesystem::temp_directory_path() / "stoa-ledger-XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const auto file = std::filesystem::path(folder) / "stoa.db";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const PriceBook prices = book();
    auto database = std::move(*infra::open_sqlite(file));
    auto behind = std::move(*infra::WriteBehind::open(*database, folder));
    auto ledger = std::move(*Ledger::open(*database, prices, Clock::system(), behind.get()));
    if (!behind->start()) ::_exit(1);
    for (std::int32_t i = 0; i < 100'000; ++i) {
      auto reservation = ledger->reserve(call_of(fmt::format("req_{}", i)), "chat", "local", 1);
      if (!reservation || !ledger->settle(*reservation, {.compute_micros = i})) ::_exit(1);
      if (::write(ends[1], &i, sizeof i) != sizeof i) ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  std::int32_t last = -1, seen = 0;
  while (seen < 50 && ::read(ends[0], &last, sizeof last) == sizeof last) ++seen;
  ::kill(child, SIGKILL);
  while (::read(ends[0], &last, sizeof last) == sizeof last) ++seen;
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  ASSERT_GE(seen, 50);
  {
    const PriceBook prices = book();
    auto database = std::move(*infra::open_sqlite(file));
    auto behind = std::move(*infra::WriteBehind::open(*database, folder));
    auto ledger = std::move(*Ledger::open(*database, prices, Clock::system(), behind.get()));
    ASSERT_TRUE(behind->start());
    for (std::int32_t i = 0; i < seen; ++i) {
      const auto rows = ledger->rows(fmt::format("req_{}", i));
      ASSERT_EQ(rows->size(), 1u) << i;
      EXPECT_EQ(rows->front().cost, i);
    }
    EXPECT_EQ(ledger->budget("p1")->reserved, 0);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace stoa::governance
