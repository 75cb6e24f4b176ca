#include "infra/bus/local/local.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <stdexcept>

#include "base/log.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::infra {
namespace {

namespace fs = std::filesystem;

// What a handler has seen, by payload.
class Seen {
 public:
  Status add(const Event& event) {
    std::lock_guard lock(mutex_);
    payloads_.push_back(event.payload);
    return {};
  }
  std::vector<std::string> payloads() const {
    std::lock_guard lock(mutex_);
    return payloads_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> payloads_;
};

using List = std::vector<std::string>;
Deadline soon() { return Deadline::after(std::chrono::seconds(20)); }

class BusContract : public testing::Test {
 protected:
  static void SetUpTestSuite() { configure_log(LogLevel::kOff, LogFormat::kText); }
  std::unique_ptr<EventBus> open(LocalBusOptions options = {}) { return std::move(*open_local_bus(*db_, options)); }
  std::unique_ptr<EventBus> open_with(const std::string& name, Seen& seen) {
    auto bus = open();
    EXPECT_TRUE(bus->subscribe({name, {"a"}}, [&](const Event& event) { return seen.add(event); }));
    return bus;
  }
  static Subscription quick(std::string name, int attempts) { return {std::move(name), {"a"}, attempts, milliseconds(1), milliseconds(2)}; }

  std::unique_ptr<SqlDatabase> db_ = std::move(*open_memory());
};

TEST_F(BusContract, DeliversInOrderToEverySubscriberOfTheTopic) {
  Seen both, only_a;
  auto bus = open();
  ASSERT_TRUE(bus->subscribe({"both", {"a", "b"}}, [&](const Event& event) { return both.add(event); }));
  ASSERT_TRUE(bus->subscribe({"only-a", {"a"}}, [&](const Event& event) { return only_a.add(event); }));
  ASSERT_TRUE(bus->start());
  List expected, expected_a;
  for (int i = 0; i < 200; ++i) {
    const std::string topic = i % 3 == 0 ? "a" : "b", payload = std::to_string(i);
    ASSERT_TRUE(bus->publish(topic, "key", payload));
    expected.push_back(payload);
    if (topic == "a") expected_a.push_back(payload);
  }
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_EQ(both.payloads(), expected);
  EXPECT_EQ(only_a.payloads(), expected_a);
  bus->stop();
  EXPECT_EQ(*(*db_->query_one("SELECT count(*) FROM bus_events"))->get<std::int64_t>(0), 0) << "what all have handled is pruned";
}

TEST_F(BusContract, GoesOnAfterARestart) {
  Seen seen;
  {
    auto bus = open_with("s", seen);
    ASSERT_TRUE(bus->start());
    ASSERT_TRUE(bus->publish("a", "", "1"));
    ASSERT_TRUE(bus->drain(soon()));
    bus->stop();
    ASSERT_TRUE(bus->publish("a", "", "2"));
  }
  { ASSERT_TRUE(open()->publish("a", "", "3")) << "published while nobody is attached"; }
  auto bus = open_with("s", seen);
  ASSERT_TRUE(bus->start());
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_EQ(seen.payloads(), (List{"1", "2", "3"}));
}

TEST_F(BusContract, NewNamesBeginNowAndUnwantedTopicsAreNotKept) {
  Seen old_seen, new_seen;
  { ASSERT_TRUE(open()->publish("a", "", "nobody")); }
  { ASSERT_TRUE(open_with("old", old_seen)->publish("a", "", "early")); }
  auto bus = open_with("old", old_seen);
  ASSERT_TRUE(bus->subscribe({"new", {"a"}}, [&](const Event& event) { return new_seen.add(event); }));
  ASSERT_TRUE(bus->publish("other", "", "unwanted"));
  ASSERT_TRUE(bus->publish("a", "", "late"));
  EXPECT_EQ(*(*db_->query_one("SELECT count(*) FROM bus_events"))->get<std::int64_t>(0), 2);
  ASSERT_TRUE(bus->start());
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_EQ(old_seen.payloads(), (List{"early", "late"}));
  EXPECT_EQ(new_seen.payloads(), (List{"late"}));
}

TEST_F(BusContract, FailingHandlerIsRetriedThenPassedOver) {
  Seen seen;
  std::atomic<int> calls = 0;
  auto bus = open();
  ASSERT_TRUE(bus->subscribe(quick("s", 3), [&](const Event& event) -> Status {
    if (event.payload == "bad") return ++calls, fail(ErrorCode::kUnavailable, "try {}", calls.load());
    if (event.payload == "throws") throw std::runtime_error("thrown");
    if (event.payload == "second" && ++calls == 4) return fail(ErrorCode::kUnavailable, "not yet");
    return seen.add(event);
  }));
  for (const auto* payload : {"1", "bad", "throws", "second", "2"}) ASSERT_TRUE(bus->publish("a", "k", payload));
  ASSERT_TRUE(bus->start());
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_EQ(seen.payloads(), (List{"1", "second", "2"})) << "order is kept";
  const auto letters = *bus->dead_letters("s");
  ASSERT_EQ(letters.size(), 2u);
  EXPECT_EQ(std::tie(letters[0].event.payload, letters[0].error, letters[0].attempts), std::make_tuple("bad", "try 3", 3));
  EXPECT_EQ(std::tie(letters[1].event.payload, letters[1].error), std::make_tuple("throws", "the handler threw: thrown"));
  EXPECT_EQ(bus->subscribers()->at(0).dead_letters, 2);
}

TEST_F(BusContract, SlowSubscriberSlowsThePublisher) {
  Seen seen;
  LocalBusOptions options;
  options.max_backlog = 10;
  auto bus = open(options);
  ASSERT_TRUE(bus->subscribe({"slow", {"a"}}, [&](const Event& event) { return seen.add(event); }));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(bus->publish("a", "", "x"));
  const auto refused = bus->publish("a", "", "x");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_NE(refused.error().message.find("'slow'"), std::string::npos);
  ASSERT_TRUE(bus->start());
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_TRUE(bus->publish("a", "", "x"));
}

TEST_F(BusContract, ForgottenNamesHoldNothingBack) {
  Seen seen;
  { ASSERT_TRUE(open_with("gone", seen)->publish("a", "", "x")); }
  auto bus = open_with("s", seen);
  EXPECT_EQ(bus->unsubscribe("s").error().code, ErrorCode::kConflict);
  EXPECT_EQ(bus->subscribers()->at(0).backlog, 1);
  EXPECT_FALSE(bus->subscribers()->at(0).attached);
  EXPECT_TRUE(bus->unsubscribe("gone"));
  EXPECT_EQ(bus->unsubscribe("gone").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(bus->subscribers()->size(), 1u);
}

TEST_F(BusContract, EventCommitsWithTheChange) {
  Seen seen;
  auto bus = open_with("s", seen);
  ASSERT_TRUE(bus->start());
  for (const bool commit : {false, true})
    EXPECT_EQ(db_->transaction([&](SqlTransaction& tx) -> Status {
                  STOA_CHECK(bus->publish(tx, "a", "", commit ? "committed" : "rolled back"));
                  return commit ? Status{} : fail(ErrorCode::kCancelled, "no");
                }).has_value(),
              commit);
  ASSERT_TRUE(bus->drain(soon()));
  EXPECT_EQ(seen.payloads(), (List{"committed"}));
}

TEST_F(BusContract, RefusesWhatItCannotKeep) {
  auto bus = open();
  const EventHandler nothing = [](const Event&) { return Status{}; };
  EXPECT_EQ(bus->publish("", "", "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus->publish("two words", "", "").error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus->publish("a", "", std::string(EventBus::kMaxPayload + 1, 'x')).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(bus->subscribe({"", {"a"}}, nothing).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus->subscribe({"s", {}}, nothing).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus->subscribe({"s", {"a\nb"}}, nothing).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(bus->subscribe(quick("s", 0), nothing).error().code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(bus->subscribe({"s", {"a"}}, nothing));
  EXPECT_EQ(bus->subscribe({"s", {"b"}}, nothing).error().code, ErrorCode::kConflict);
  EXPECT_TRUE(bus->start());
  EXPECT_EQ(bus->subscribe({"t", {"a"}}, nothing).error().code, ErrorCode::kConflict);
  EXPECT_EQ(bus->start().error().code, ErrorCode::kConflict);
}

// A process that dies inside a handler: the event was not acknowledged and comes again.
TEST(LocalBus, EventComesAgainAfterKill) {
  const fs::path file = fs::temp_directory_path() / fmt::format("stoa-bus-test-{}.db", ::getpid());
  const pid_t child = ::fork();
  if (child == 0) {
    const auto db = std::move(*open_sqlite(file));
    const auto bus = std::move(*open_local_bus(*db));
    (void)bus->subscribe({"s", {"a"}}, [](const Event& event) -> Status {
      if (event.payload == "2") ::raise(SIGKILL);
      return {};
    });
    for (const auto* payload : {"1", "2", "3"}) (void)bus->publish("a", "", payload);
    (void)bus->start();
    (void)bus->drain(soon());
    ::_exit(1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  {
    const auto db = std::move(*open_sqlite(file));
    const auto bus = std::move(*open_local_bus(*db));
    Seen seen;
    ASSERT_TRUE(bus->subscribe({"s", {"a"}}, [&](const Event& event) { return seen.add(event); }));
    ASSERT_TRUE(bus->start());
    ASSERT_TRUE(bus->drain(soon()));
    const List payloads = seen.payloads();
    ASSERT_GE(payloads.size(), 2u);
    EXPECT_EQ(List(payloads.end() - 2, payloads.end()), (List{"2", "3"}));
  }
  for (const auto* suffix : {"", "-wal", "-shm"}) fs::remove(file.string() + suffix);
}

}  // namespace
}  // namespace stoa::infra
