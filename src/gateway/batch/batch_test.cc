// Batches over real stores in memory, with a route that answers as it is told.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/json.h"
#include "gateway/batch/batch_json.h"
#include "gateway/batch/batch_runner.h"
#include "governance/access/test_access.h"
#include "governance/identity/authenticator.h"
#include "governance/protection/memory_protection.h"
#include "infra/bus/local/local.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::gateway {
namespace {

using namespace std::chrono_literals;

template <class T>
T must(Result<T> result) {
  EXPECT_TRUE(result) << result.error().message;
  return std::move(*result);
}

TEST(BatchUsageTest, IsWhatAnswersOfAnyDialectTell) {
  const auto check = [](std::string_view body, std::string_view expected) {
    const Usage usage = usage_of(body);
    EXPECT_EQ(fmt::format("{}({})/{}({})", usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens, usage.reasoning_tokens), expected) << body;
  };
  check(R"({"usage":{"prompt_tokens":9,"completion_tokens":4,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":3}}})", "9(2)/4(3)");
  check(R"({"usage":{"input_tokens":9,"output_tokens":4,"input_tokens_details":{"cached_tokens":2},"output_tokens_details":{"reasoning_tokens":3}}})", "9(2)/4(3)");
  check(R"({"usage":{"input_tokens":9,"output_tokens":4,"cache_read_input_tokens":5}})", "14(5)/4(0)");  // Messages
  check(R"({"usage":{"prompt_tokens":9,"total_tokens":9}})", "9(0)/0(0)");                               // embeddings
  check(R"({"error":{"message":"no"}})", "0(0)/0(0)");
  check(R"({"usage":{"prompt_tokens":-1,"completion_tokens":"4","prompt_tokens_details":7}})", "0(0)/0(0)");
  check("no json", "0(0)/0(0)");
  check("", "0(0)/0(0)");
}

constexpr std::string_view kPrices = R"(currency: USD
as_of: "2026-01-01"
source: test
prices:
  - model: "*"
    per_compute_second: 1000000
)";
constexpr Micros kHour = Micros{3600} * 1'000'000;

struct MovedClock : Clock {
  std::atomic<Micros> ahead = 0;
  Micros now() const override { return Clock::system().now() + ahead; }
};

infra::HttpResponse plain_error(const Error& error, std::string_view) { return infra::HttpResponse::json(error.code == ErrorCode::kInvalidArgument ? 400 : 503, dump_json(JsonObject{{"error", error.message}})); }

// {"id": "a", "say": "..."}: as the line's request.
Result<BatchLine> read_line(const Batch&, std::string_view text) {
  auto json = parse_json(text);
  if (!json) return fail(std::move(json).error().with_param("json"));
  STOA_TRY(id, Fields(json->as_object()).required_text("id"));
  return BatchLine{id, "/v1/echo", std::string(text)};
}

struct Desk : testing::Test {
  MovedClock clock;
  std::unique_ptr<infra::SqlDatabase> sql = must(infra::open_memory());
  governance::MemoryProtection protection{*sql};
  std::unique_ptr<governance::AuditLog> audit = must(governance::AuditLog::open(*sql));
  std::unique_ptr<governance::Access> access = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<governance::Identity> identity = must(governance::Identity::open(*sql, *audit, *access, Bytes(32, std::byte{7})));
  governance::PriceBook prices = must(governance::PriceBook::parse(kPrices, "prices"));
  std::unique_ptr<governance::Ledger> ledger = must(governance::Ledger::open(*sql, prices));
  std::unique_ptr<infra::EventBus> bus = must(infra::open_local_bus(*sql));
  Metrics metrics;
  governance::Authenticator authenticator{*identity};
  Pipeline pipeline{{.access = *access, .authenticator = authenticator, .audit = *audit, .ledger = *ledger, .metrics = metrics}};
  infra::Router router;
  BatchStore store{*sql, protection.blobs, *audit, *access, bus.get(), clock};
  std::unique_ptr<BatchRunner> runner;
  Call ann, bob;
  std::string ann_key;

  std::mutex mutex;
  std::vector<std::string> said;          // in the order in which they were run
  std::atomic<bool> hold = false;         // requests wait
  std::atomic<int> held = 0;              // that have waited so
  std::atomic<int> refusals = 0;          // so many are told to come again
  std::map<std::string, BatchResult> results;

  void SetUp() override {
    ASSERT_TRUE(store.open());
    ASSERT_TRUE(identity->ensure_default());
    const Call local = Call::of(must(identity->local_operator()));
    ASSERT_TRUE(identity->create_project(local, "other"));
    ann = caller("ann", "default");
    bob = caller("bob", "other");
    ann_key = ann.principal.key;
    ASSERT_TRUE(pipeline.route(router, "POST", "/v1/echo", governance::Action::kModelUse, "echo", plain_error, [this](RequestScope& scope) { return echo(scope); }));
  }
  void TearDown() override {
    hold = false;
    runner.reset();
  }

  Call caller(const std::string& user, const std::string& project) {
    const Call local = Call::of(must(identity->local_operator()));
    EXPECT_TRUE(identity->create_user(local, user));
    const auto key = must(identity->issue_key(local, {.project = project, .user = user, .label = "", .role = "developer", .expires = {}}));
    return Call::of(must(identity->authenticate(key.secret)));
  }

  Result<std::optional<infra::HttpResponse>> echo(RequestScope& scope) {
    STOA_TRY(body, parse_body(scope.request().body));
    const Fields fields(body);
    STOA_TRY(id, fields.text_or("id", ""));
    STOA_TRY(say, fields.text_or("say", "yes"));
    EXPECT_TRUE(scope.call().batch);
    STOA_CHECK(scope.reserve("chat", "echo", {.compute_micros = 10}));
    for (held += hold ? 1 : 0; hold && !scope.call().cancel.cancelled();) std::this_thread::sleep_for(1ms);
    if (scope.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "stopped");
    if (refusals > 0 && refusals-- > 0) return fail(ErrorCode::kUnavailable, "busy");
    if (say == "wrong") return fail(ErrorCode::kInvalidArgument, "wrong");
    {
      std::lock_guard lock(mutex);
      said.push_back(id);
    }
    STOA_CHECK(scope.settle({.prompt_tokens = 1, .compute_micros = 10}));
    return infra::HttpResponse::json(200, dump_json(JsonObject{{"said", say}}));
  }

  void start(int parallel = 2, std::size_t max_lines = 1000) {
    BatchOptions options;
    options.parallel = parallel;
    options.max_lines = max_lines;
    options.max_line = 100;
    options.first_pause = options.longest_pause = 1ms;
    runner = std::make_unique<BatchRunner>(
        BatchParts{pipeline, router, store, *ledger, [this](const std::string&, const std::string& key) { return identity->holder(key); }}, options);
    runner->add_dialect("test", {.read = read_line,
                                 .finish = [this](Batch& batch) {
                                   std::lock_guard lock(mutex);
                                   results.clear();
                                   return store.results(batch, 0, [&](const BatchResult& result) -> Result<bool> { return results.emplace(result.custom_id, result).second; });
                                 }});
    ASSERT_TRUE(runner->start());
  }

  Batch make(const Call& call, const std::string& lines, Micros lifetime = 24 * kHour) {
    Batch batch{.id = {}, .dialect = "test", .tenant = {}, .project = {}, .owner = {}, .key = {}};
    batch.input = must(store.put_input(call.principal, lines));
    batch.bytes = static_cast<std::int64_t>(lines.size());
    batch.metadata = {{"for", "tests"}};
    Batch made = must(store.create(call, "batch", batch, lifetime));
    if (runner) runner->wake();
    return made;
  }

  void wait_for_held() {
    for (int i = 0; i < 10'000 && held == 0; ++i) std::this_thread::sleep_for(2ms);
    EXPECT_GT(held, 0);
  }

  Batch wait(const Call& call, const std::string& id, BatchStatus until) {
    Batch batch;
    for (int i = 0; i < 10'000; ++i) {
      batch = must(store.find(call.principal, "test", id));
      if (batch.status == until || has_ended(batch.status)) break;
      std::this_thread::sleep_for(2ms);
      if (i % 10 == 0 && runner) runner->wake();
    }
    EXPECT_EQ(batch_status_name(batch.status), batch_status_name(until));
    return batch;
  }
  Batch end(const Call& call, const std::string& id, BatchStatus as = BatchStatus::kCompleted) { return wait(call, id, as); }
  std::int64_t paid() { return must(ledger->usage({.project = ann.principal.project})).front().requests; }
};

std::string lines(int count) {
  std::string out;
  for (int i = 1; i <= count; ++i) out += fmt::format("{{\"id\":\"line-{}\"}}\n", i);
  return out;
}

TEST_F(Desk, EveryLineIsRunOncePaidOnceAndKept) {
  start(3);
  const Batch batch = end(ann, make(ann, lines(40) + "\r\n  \n{\"id\":\"bad\",\"say\":\"wrong\"}").id);
  EXPECT_EQ(batch.total, 41);
  EXPECT_EQ(batch.succeeded, 40);
  EXPECT_EQ(batch.failed, 1);
  EXPECT_EQ(batch.metadata.at("for"), "tests");
  EXPECT_EQ(said.size(), 40u);
  EXPECT_EQ(paid(), 40);
  EXPECT_EQ(results.at("line-7").body, R"({"said":"yes"})");
  EXPECT_EQ(results.at("bad").status, 400);
  EXPECT_EQ(results.at("bad").line, 43);  // blank lines count
  EXPECT_EQ(must(ledger->rows(results.at("line-7").request_id)).front().principal, ann.principal.id);
}

TEST_F(Desk, WrongInputsAreRefusedWithTheirLines) {
  start(1, 3);
  const std::string first = "{\"id\":\"a\"}\n";
  struct Case {
    std::string input, code;
    std::int64_t line;
  };
  for (const Case& one : {Case{"", "empty_file", 0}, Case{"\n\n", "empty_file", 0}, Case{first + "{oops\n", "invalid_json_line", 2}, Case{first + "{}\n", "invalid_request", 2},
                          Case{first + "\n" + first, "duplicate_custom_id", 3}, Case{first + std::string(200, 'x') + "\n", "line_too_long", 2}, Case{lines(5), "too_many_tasks", 4}}) {
    const Batch batch = end(ann, make(ann, one.input.empty() ? " " : one.input).id, BatchStatus::kFailed);
    ASSERT_FALSE(batch.problems.empty()) << one.code;
    EXPECT_EQ(batch.problems.front().code, one.code);
    EXPECT_EQ(batch.problems.front().line, one.line) << one.code;
  }
  EXPECT_TRUE(said.empty());
}

TEST_F(Desk, WhatMayHelpIsTriedAgain) {
  refusals = 3;
  start(1);
  const Batch batch = end(ann, make(ann, lines(2)).id);
  EXPECT_EQ(batch.succeeded, 2);
  EXPECT_EQ(paid(), 2);
  refusals = 5;
  EXPECT_EQ(end(ann, make(ann, lines(1)).id).failed, 1);
  EXPECT_EQ(results.at("line-1").status, 503);
}

TEST_F(Desk, AStopCutsLinesOffAndTheNextStartRunsThemAgain) {
  hold = true;
  start(2);
  const std::string id = make(ann, lines(6)).id;
  wait(ann, id, BatchStatus::kInProgress);
  wait_for_held();
  runner.reset();
  EXPECT_EQ(must(store.find(ann.principal, "test", id)).succeeded, 0);
  hold = false;
  start(2);
  EXPECT_EQ(end(ann, id).succeeded, 6);
  EXPECT_EQ(paid(), 6);
}

// What a crash leaves: answers that are kept, of which nobody noted whether they are paid.
TEST_F(Desk, AfterACrashPaidAnswersCountAndOthersAreMadeAgain) {
  Batch batch = make(ann, lines(3));
  batch.status = BatchStatus::kInProgress;
  batch.total = 3;
  ASSERT_TRUE(store.save(batch));
  Call paid_call = ann;
  paid_call.request_id = "req_01jd0000000000000000000000";
  auto reservation = must(ledger->reserve(paid_call, "chat", "echo", 1));
  ASSERT_TRUE(ledger->settle(reservation, {.prompt_tokens = 1, .compute_micros = 10}));
  ASSERT_TRUE(store.keep(batch, {.line = 1, .status = 200, .custom_id = "line-1", .request_id = paid_call.request_id, .body = R"({"said":"before"})"}));
  ASSERT_TRUE(store.keep(batch, {.line = 2, .status = 200, .custom_id = "line-2", .request_id = "req_01jd0000000000000000000001", .body = R"({"said":"before"})"}));
  start(1);
  EXPECT_EQ(end(ann, batch.id).succeeded, 3);
  EXPECT_EQ(said, (std::vector<std::string>{"line-2", "line-3"}));
  EXPECT_EQ(results.at("line-1").body, R"({"said":"before"})");
  EXPECT_EQ(results.at("line-2").body, R"({"said":"yes"})");
  EXPECT_EQ(paid(), 3);
}

TEST_F(Desk, CancellingLetsWhatRunsEndAndRunsNoMore) {
  hold = true;
  start(1);
  const std::string id = make(ann, lines(4)).id;
  wait(ann, id, BatchStatus::kInProgress);
  wait_for_held();
  EXPECT_EQ(must(store.cancel(ann.principal, "test", id)).status, BatchStatus::kCancelling);
  EXPECT_EQ(must(store.cancel(ann.principal, "test", id)).status, BatchStatus::kCancelling);
  runner->wake();
  std::this_thread::sleep_for(20ms);
  hold = false;
  const Batch batch = end(ann, id, BatchStatus::kCancelled);
  EXPECT_EQ(batch.succeeded + batch.cancelled, 4);
  EXPECT_GE(batch.cancelled, 3);
  EXPECT_EQ(results.at("line-4").status, BatchResult::kCancelled);
  EXPECT_EQ(store.cancel(ann.principal, "test", id).error().code, ErrorCode::kConflict);
}

TEST_F(Desk, WhatIsNotDoneInTimeExpires) {
  hold = true;
  start(1);
  const std::string id = make(ann, lines(3), kHour).id;
  wait(ann, id, BatchStatus::kInProgress);
  wait_for_held();
  clock.ahead = 2 * kHour;
  hold = false;
  const Batch batch = end(ann, id, BatchStatus::kExpired);
  EXPECT_EQ(batch.succeeded + batch.expired, 3);
  EXPECT_EQ(results.at("line-3").status, BatchResult::kExpired);
  clock.ahead = 2 * kHour + BatchStore::kRetention + kHour;
  ASSERT_TRUE(store.forget_old());
  EXPECT_EQ(store.find(ann.principal, "test", id).error().code, ErrorCode::kNotFound);
}

TEST_F(Desk, ARevokedKeyEndsTheRest) {
  hold = true;
  start(1);
  const std::string id = make(ann, lines(3)).id;
  wait(ann, id, BatchStatus::kInProgress);
  wait_for_held();
  ASSERT_TRUE(identity->revoke_key(Call::of(must(identity->local_operator())), ann_key));
  hold = false;
  const Batch batch = end(ann, id, BatchStatus::kFailed);
  EXPECT_LE(batch.succeeded, 1);
  EXPECT_EQ(batch.problems.front().code, "not_authorized");
  EXPECT_EQ(results.at("line-3").status, BatchResult::kUnrunnable);
  EXPECT_NE(results.at("line-3").body.find("revoked"), std::string::npos);
}

TEST_F(Desk, WindowsAreWaitedFor) {
  const Micros now = clock.now();
  const int minute = static_cast<int>(now / 60'000'000 % 1440);
  const auto text = [](int from, int until) { return fmt::format("{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, until / 60, until % 60); };
  Call manager = ann;
  EXPECT_EQ(store.set_windows(ann, {}).error().code, ErrorCode::kPermissionDenied);
  manager.principal.role = "admin";
  const auto set = must(store.set_windows(manager, must(BatchWindows::parse(text((minute + 120) % 1440, (minute + 180) % 1440)))));
  EXPECT_EQ(set.version, 1);
  start(1);
  const std::string id = make(ann, lines(2)).id, other = make(bob, lines(2)).id;
  end(bob, other);  // another project's windows are its own
  EXPECT_EQ(wait(ann, id, BatchStatus::kInProgress).succeeded, 0);
  clock.ahead = (set.windows.next(now) - now) + 60'000'000;
  end(ann, id);
}

TEST_F(Desk, ProjectsTakeTurns) {
  hold = true;
  start(1);
  const std::string big = make(ann, lines(30)).id;
  wait(ann, big, BatchStatus::kInProgress);
  const std::string small = make(bob, "{\"id\":\"bob\"}\n").id;
  wait(bob, small, BatchStatus::kInProgress);
  hold = false;
  end(bob, small);
  end(ann, big);
  EXPECT_LT(std::ranges::find(said, "bob") - said.begin(), 4);
}

TEST_F(Desk, BatchesBelongToWhoMadeThem) {
  const std::string id = make(ann, lines(1)).id;
  Call colleague = ann;
  colleague.principal.id = "user_other";
  for (const Call& other : {bob, colleague}) {
    EXPECT_EQ(store.find(other.principal, "test", id).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store.cancel(other.principal, "test", id).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store.remove(other.principal, "test", id).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(must(store.list(other.principal, "test", {})).items.empty());
  }
  EXPECT_EQ(store.find(ann.principal, "another dialect", id).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(store.remove(ann.principal, "test", id).error().code, ErrorCode::kConflict);  // it has not ended
  EXPECT_EQ(must(store.list(ann.principal, "test", {})).items.size(), 1u);
}

TEST(BatchWindowsTest, TimesOfTheDay) {
  const Micros hour = kHour;
  struct Case {
    std::string text;
    Micros at;
    bool open;
    Micros next;
  };
  for (const Case& one : {Case{"", 5 * hour, true, 5 * hour}, Case{"22:00-06:00", 5 * hour, true, 5 * hour}, Case{"22:00-06:00", 6 * hour, false, 22 * hour},
                          Case{"22:00-06:00", 23 * hour, true, 23 * hour}, Case{"12:00-13:00, 01:00-02:00", 13 * hour, false, 25 * hour}, Case{"00:00-24:00", 7 * hour, true, 7 * hour}}) {
    const auto windows = must(BatchWindows::parse(one.text));
    EXPECT_EQ(windows.open(one.at), one.open) << one.text;
    EXPECT_EQ(windows.next(one.at), one.next) << one.text;
  }
  EXPECT_EQ(must(BatchWindows::parse("12:00-13:00, 01:00-02:00")).text(), "12:00-13:00,01:00-02:00");
  for (const std::string wrong : {"x", "22-06", "22:00", "25:00-01:00", "22:60-23:00", "24:00-01:00", "22:00-23:00,", "+1:00-02:00",
                                  "01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00,01:00-02:00"})
    EXPECT_EQ(BatchWindows::parse(wrong).error().code, ErrorCode::kInvalidArgument) << wrong;
}

}  // namespace
}  // namespace stoa::gateway
