#include "governance/limits/limits.h"

#include <gtest/gtest.h>

#include <deque>
#include <random>
#include <thread>

#include "base/id.h"
#include "governance/access/test_access.h"
#include "infra/sql/sqlite/backends.h"

namespace stoa::governance {
namespace {

constexpr Micros kSecond = 1'000'000, kMinute = 60 * kSecond;

class TestClock final : public Clock {
 public:
  Micros now() const override { return now_.load(); }
  void pass(Micros time) { now_ += time; }

 private:
  std::atomic<Micros> now_{1'700'000'000 * kSecond};
};

Call someone(std::string project, std::string user, std::string key = "key_1", std::string role = "admin") {
  Principal principal;
  principal.id = "user_" + user;
  principal.tenant = "tenant_t";
  principal.project = std::move(project);
  principal.role = std::move(role);
  principal.key = std::move(key);
  return Call::of(principal);
}

Call the_operator() {
  Call call = someone("proj_a", "x", "");
  call.principal.id = kLocalOperator;
  return call;
}

class LimitsTest : public testing::Test {
 protected:
  void set(std::string text, std::string name = "l") { ASSERT_TRUE(limits_->texts().set(admin_, {.name = std::move(name), .text = std::move(text), .comment = {}})) << text; }
  void set_all(std::string text) {
    const auto stored = limits_->texts().set(the_operator(), {.name = "house", .text = std::move(text), .comment = {}}, TextOwner::kInstallation);
    ASSERT_TRUE(stored) << stored.error().message;
  }
  // Whether a request is let in; it ends at once.
  bool ask(const Call& call, std::string_view model = "m", std::int64_t tokens = 0, Money money = 0) {
    LimitTicket ticket;
    const bool in = limits_->take(ticket, call, model, tokens, money).has_value();
    if (in) ticket.settle(tokens, money);
    return in;
  }
  int count(const Call& call, std::string_view model = "m", int most = 100) {
    int in = 0;
    while (in < most && ask(call, model)) ++in;
    return in;
  }

  TestClock clock_;
  Metrics metrics_;
  std::unique_ptr<infra::SqlDatabase> database_ = infra::sqlite_backends().front().open();
  std::unique_ptr<AuditLog> audit_ = *AuditLog::open(*database_);
  std::unique_ptr<Access> access_ = access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<Limits> limits_ = *Limits::open(*database_, *audit_, *access_, metrics_, clock_);
  const Call admin_ = someone("proj_a", "ann"), bob_ = someone("proj_a", "bob", "key_2"), other_ = someone("proj_b", "eve", "key_3");
};

TEST(LimitRules, AreReadOrRefusedWithTheirPlace) {
  const auto check = [](std::string_view text, std::string_view wrong, bool of_installation = false) {
    const auto parsed = parse_limits(text, "t", of_installation);
    ASSERT_EQ(parsed.has_value(), wrong.empty()) << text << (parsed ? "" : parsed.error().message);
    if (!parsed) {
      EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
      EXPECT_NE(parsed.error().message.find(wrong), std::string::npos) << parsed.error().message;
    }
  };
  check("limits: [{requests_per_minute: 60}]", "");
  check("description: d\nlimits:\n  - {per: [user, model], models: a*, principals: [user_x], tokens_per_minute: 5, concurrent: 2, money_per_hour: 1.5, money_per_day: 20}", "");
  check("", "a map with 'limits'");
  check("limits: []", "1 to 64 limits");
  check("limits: [{per: user}]", "needs an amount");
  check("limits: [{per: moon, concurrent: 1}]", "'moon' has no limits");
  check("limits: [{per: installation, concurrent: 1}]", "'installation' has no limits");
  check("limits: [{per: installation, concurrent: 1}]", "", true);
  check("default: true\nlimits: [{concurrent: 1}]", "only limits of the installation");
  check("default: true\nlimits: [{concurrent: 1}]", "", true);
  check("limits: [{requests_per_minute: 0}]", "t:1");
  check("limits: [{requests_per_minute: 1.5}]", "t:1");
  check("limits: [{money_per_day: -1}]", "an amount of money");
  check("limits: [{money_per_day: 1e99}]", "an amount of money");
  check("limits: [{requests_per_hour: 1}]", "requests_per_hour");
  check("limits: [{models: [], concurrent: 1}]", "a list of 1 to");
  check("limits:\n  - {concurrent: 1}\n  - 7", "t:3: a limit is a map");
}

TEST(LimitRules, ModelsAreNamedByPatterns) {
  const auto matches = [](std::string pattern, std::string_view model) {
    LimitRule rule;
    rule.models = {std::move(pattern)};
    return rule.applies(model, "user_x");
  };
  for (const auto& [pattern, model] : std::vector<std::pair<std::string, std::string>>{{"a", "a"}, {"a*", "abc"}, {"*", ""}, {"*c", "abc"}, {"a*c", "abbc"}, {"a*b*c", "aXbYbc"}, {"**", "x"}, {"openai/*", "openai/gpt"}})
    EXPECT_TRUE(matches(pattern, model)) << pattern << " " << model;
  for (const auto& [pattern, model] : std::vector<std::pair<std::string, std::string>>{{"a", "ab"}, {"a*c", "abd"}, {"*c", "abcd"}, {"", "a"}, {"a*b*c", "acb"}})
    EXPECT_FALSE(matches(pattern, model)) << pattern << " " << model;
}

// Random requests at random times: in no window is more let in than the amount and what comes back in its time.
TEST(Bucket, NeverLetsInMoreThanTheAmountOverAnyWindow) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::int64_t amount = std::uniform_int_distribution<std::int64_t>(1, 500)(random);
    const Micros period = round % 2 == 0 ? kMinute : 1'000'003;
    Bucket bucket;
    Micros now = 12345;
    std::vector<std::pair<Micros, std::int64_t>> in;
    for (int i = 0; i < 300; ++i) {
      now += std::uniform_int_distribution<Micros>(0, period / 20)(random);
      const std::int64_t n = std::uniform_int_distribution<std::int64_t>(1, std::max<std::int64_t>(1, amount / 3))(random);
      bucket.drain(amount, period, now);
      if (bucket.fits(n, amount)) {
        bucket.take(n);
        in.emplace_back(now, n);
      } else {
        Bucket later = bucket;
        const Micros wait = bucket.wait(n, amount, period);
        ASSERT_GT(wait, 0);
        later.drain(amount, period, now + wait);
        EXPECT_TRUE(later.fits(n, amount)) << "what is told to wait is enough";
        later = bucket;
        later.drain(amount, period, now + wait - 1);
        EXPECT_FALSE(later.fits(n, amount)) << "and no more than that";
      }
    }
    for (std::size_t from = 0; from < in.size(); ++from) {
      std::int64_t sum = 0;
      for (std::size_t to = from; to < in.size(); ++to) {
        sum += in[to].second;
        const double most = static_cast<double>(amount) + static_cast<double>(amount) * static_cast<double>(in[to].first - in[from].first) / static_cast<double>(period);
        ASSERT_LE(static_cast<double>(sum), most + 1e-6) << "from " << from << " to " << to;
      }
    }
  }
}

// Taking an estimate and settling it leaves exactly what taking the real use at the start would have left.
TEST(Bucket, SettlementIsExact) {
  std::mt19937 random(11);
  for (int round = 0; round < 2000; ++round) {
    const std::int64_t amount = std::uniform_int_distribution<std::int64_t>(1, 2'000'000)(random);
    const Micros period = round % 3 == 0 ? 86'400 * kSecond : kMinute;
    Bucket estimated, real;
    Micros now = 1'700'000'000 * kSecond;
    const auto drain = [&] {
      estimated.drain(amount, period, now);
      real.drain(amount, period, now);
    };
    drain();
    std::deque<std::pair<std::int64_t, std::int64_t>> open;
    for (int i = 0; i < 20; ++i) {
      const std::int64_t use = std::uniform_int_distribution<std::int64_t>(0, amount)(random), estimate = use + std::uniform_int_distribution<std::int64_t>(0, 1000)(random);
      estimated.take(estimate);
      real.take(use);
      open.emplace_back(estimate, use);
      now += std::uniform_int_distribution<Micros>(0, period / 100)(random);
      drain();
      if (real.used() == 0) break;  // what has come back of an estimate alone does not count twice: then they differ, to the safe side
    }
    for (const auto& [estimate, use] : open) {
      estimated.take(use);
      estimated.give_back(estimate);
    }
    if (real.used() > 0) {
      EXPECT_EQ(estimated.used(), real.used());
    }
    EXPECT_GE(estimated.used(), 0);
  }
}

TEST(Bucket, AmountsOfAnySizeDoNotOverflow) {
  Bucket bucket;
  const std::int64_t most = 1'000'000'000'000'000;
  bucket.drain(most, 86'400 * kSecond, 1'700'000'000 * kSecond);
  bucket.take(most);
  bucket.drain(most, 86'400 * kSecond, 1'700'043'200 * kSecond);
  EXPECT_EQ(bucket.used(), most / 2);
  bucket.drain(most, 86'400 * kSecond, 1'600'000'000 * kSecond);
  EXPECT_EQ(bucket.used(), most / 2) << "a clock that goes back";
  EXPECT_EQ(bucket.wait(most, most, 86'400 * kSecond), 43'200 * kSecond);
}

TEST_F(LimitsTest, WithoutLimitsEverythingPasses) {
  LimitTicket ticket;
  EXPECT_TRUE(limits_->take(ticket, admin_, "m", 1'000'000, 1'000'000));
  EXPECT_FALSE(ticket.state());
  EXPECT_TRUE(limits_->standings("proj_a").empty());
}

TEST_F(LimitsTest, CountForWhomTheyAre) {
  const auto check = [&](std::string_view per, int ann, int ann_other_model, int bob) {
    set(fmt::format("limits: [{{per: {}, requests_per_minute: 5}}]", per));
    clock_.pass(10 * kMinute);
    EXPECT_EQ(count(admin_), ann) << per;
    EXPECT_EQ(count(admin_, "n"), ann_other_model) << per;
    EXPECT_EQ(count(bob_), bob) << per;
    EXPECT_EQ(count(other_), 100) << "another project";
  };
  check("project", 5, 0, 0);
  check("user", 5, 0, 5);
  check("key", 5, 0, 5);
  check("model", 5, 5, 0);
  check("[user, model]", 5, 5, 5);
  set("limits: [{models: [n], requests_per_minute: 2}, {principals: [user_bob], requests_per_minute: 3}]");
  clock_.pass(10 * kMinute);
  EXPECT_EQ(count(admin_), 100);
  EXPECT_EQ(count(admin_, "n"), 2);
  EXPECT_EQ(count(bob_), 3);
}

TEST_F(LimitsTest, OfTheInstallationHoldEverywhere) {
  set_all("limits: [{requests_per_minute: 5}]");
  EXPECT_EQ(count(admin_), 5);
  EXPECT_EQ(count(other_), 5) << "each project for itself";
  set_all("limits: [{per: installation, requests_per_minute: 7}]");
  clock_.pass(10 * kMinute);
  EXPECT_EQ(count(admin_) + count(other_), 7);
  set_all("default: true\nlimits: [{requests_per_minute: 4}]");
  set("limits: [{requests_per_minute: 9}]");
  clock_.pass(10 * kMinute);
  EXPECT_EQ(count(admin_), 9) << "a project of its own mind";
  EXPECT_EQ(count(other_), 4);
  EXPECT_EQ(limits_->texts().set(admin_, {.name = "house", .text = "limits: [{concurrent: 1}]", .comment = {}}, TextOwner::kInstallation).error().code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(limits_->texts().set(someone("proj_a", "dev", "key_9", "developer"), {.name = "l", .text = "limits: [{concurrent: 1}]", .comment = {}}).error().code, ErrorCode::kPermissionDenied);
}

TEST_F(LimitsTest, TokensAreTakenAndSettled) {
  set("limits: [{tokens_per_minute: 1000, money_per_day: 0.001}]");
  LimitTicket ticket;
  ASSERT_TRUE(limits_->take(ticket, admin_, "m", 900, 500));
  EXPECT_EQ(ticket.state()->tokens.left, 100);
  EXPECT_EQ(ticket.state()->tokens.limit, 1000);
  EXPECT_EQ(ticket.state()->requests.limit, 0);
  LimitTicket second;
  const auto refused = limits_->take(second, bob_, "m", 400, 10);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(refused.error().retry_after, 18) << "300 of 1000 a minute";
  EXPECT_NE(refused.error().message.find("1000 tokens a minute for the project"), std::string::npos) << refused.error().message;
  EXPECT_NE(refused.error().hint.find("limit 1 of 'l'"), std::string::npos) << refused.error().hint;
  ticket.settle(200, 100);
  EXPECT_EQ(ticket.state()->tokens.left, 800);
  EXPECT_TRUE(limits_->take(second, bob_, "m", 400, 10));
  second.release();  // failed: it used nothing
  LimitTicket third;
  EXPECT_TRUE(limits_->take(third, bob_, "m", 800, 900));
  third.settle(1500, 2000);  // more than was expected: it has to come back first
  third.release();
  EXPECT_FALSE(ask(bob_, "m", 1));
  clock_.pass(43 * kSecond);
  EXPECT_TRUE(ask(bob_, "m", 1, 0));
  EXPECT_FALSE(ask(bob_, "m", 0, 1)) << "the money takes a day";
  const auto large = limits_->take(second, bob_, "m", 1001, 0);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, ErrorCode::kTooLarge) << "waiting would not help";
}

TEST_F(LimitsTest, ManyPiecesOfOneRequestCountAsOneRequest) {
  set("limits: [{requests_per_minute: 1, tokens_per_minute: 100, concurrent: 1}]");
  LimitTicket ticket;
  ASSERT_TRUE(limits_->take(ticket, admin_, "m", 50, 0));
  ticket.settle(10, 0);
  ASSERT_TRUE(limits_->take(ticket, admin_, "m", 50, 0));
  EXPECT_FALSE(limits_->take(ticket, admin_, "m", 50, 0)) << "60 are taken";
  ticket.settle(20, 0);
  EXPECT_EQ(ticket.state()->tokens.left, 70);
  EXPECT_EQ(ticket.state()->requests.left, 0);
}

TEST_F(LimitsTest, ConcurrencyIsGivenBackWhenTheRequestEnds) {
  set("limits: [{per: user, concurrent: 2}]");
  LimitTicket one, two, three;
  EXPECT_TRUE(limits_->take(one, admin_, "m", 0, 0));
  EXPECT_TRUE(limits_->take(two, admin_, "m", 0, 0));
  EXPECT_FALSE(limits_->take(three, admin_, "m", 0, 0));
  EXPECT_TRUE(ask(bob_));
  LimitTicket moved = std::move(one);
  EXPECT_FALSE(limits_->take(three, admin_, "m", 0, 0));
  moved.release();
  EXPECT_TRUE(limits_->take(three, admin_, "m", 0, 0));
}

TEST_F(LimitsTest, WhatOneLimitRefusesTakesNothingFromTheOthers) {
  set("limits: [{requests_per_minute: 10}, {tokens_per_minute: 100}]");
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(ask(admin_, "m", 101) == false);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(ask(admin_, "m", 1)) << i;
  EXPECT_FALSE(ask(admin_, "m", 1));
}

TEST_F(LimitsTest, ChangesHoldAtOnceAndKeepWhatIsUsed) {
  set("limits: [{requests_per_minute: 5}]");
  EXPECT_EQ(count(admin_), 5);
  set("limits: [{requests_per_minute: 8}]");
  EXPECT_EQ(count(admin_), 3);
  ASSERT_TRUE(limits_->texts().rollback(admin_, "l", 1, ""));
  EXPECT_EQ(count(admin_), 0);
  ASSERT_TRUE(limits_->texts().remove(admin_, "l", ""));
  EXPECT_EQ(count(admin_), 100);
  const auto elsewhere = *Limits::open(*database_, *audit_, *access_, metrics_, clock_);
  ASSERT_TRUE(elsewhere->texts().set(admin_, {.name = "l", .text = "limits: [{requests_per_minute: 1}]", .comment = {}}));
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (count(admin_) == 100 && std::chrono::steady_clock::now() < until) std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(count(admin_), 0) << "set by another process, with what was used before";
}

// Requests that were settled before a restart, and what limits hold of them after it.
class RefilledLimitsTest : public LimitsTest {
 protected:
  struct Work {
    const Call& call;
    std::string_view model = "m", target = "m", kind = "chat";
    std::int64_t tokens = 10;
  };
  void settle(const Work& work) {
    Call call = work.call;
    call.request_id = new_id("req");
    auto reserved = ledger_->reserve(call, work.kind, work.model, 0);
    ASSERT_TRUE(reserved);
    reserved->done_by(std::string(work.target));
    ASSERT_TRUE(ledger_->settle(*reserved, {.prompt_tokens = work.tokens - 1, .completion_tokens = 1}));
  }
  void restart() {
    limits_.reset();
    limits_ = *Limits::open(*database_, *audit_, *access_, metrics_, clock_);
    ASSERT_TRUE(limits_->refill(*ledger_));
  }
  // What is used of the first limit, by whom: "user_ann 3, user_bob 1".
  std::string standings(std::string_view project = "proj_a") {
    std::string all;
    for (const auto& standing : limits_->standings(project)) all += fmt::format("{}{}{}{}", all.empty() ? "" : ", ", standing.who, standing.who.empty() ? "" : " ", standing.used);
    return all;
  }

  const PriceBook prices_ = *PriceBook::parse("currency: USD\nas_of: x\nsource: y\nprices: [{model: '*', per_million_input_tokens: 1000000, per_million_output_tokens: 1000000}]", "p");
  std::unique_ptr<Ledger> ledger_ = *Ledger::open(*database_, prices_, clock_);
};

TEST_F(RefilledLimitsTest, CountForWhomTheyAre) {
  clock_.pass(kMinute - clock_.now() % kMinute - 1);  // the end of a span of an hour, and of a day
  for (const Work& work : {Work{admin_}, Work{admin_, "route", "m"}, Work{bob_, "m", "n"}, Work{bob_, "m", "m", "chat.hedge1"}, Work{bob_, "m", "m", "ingest"}, Work{bob_, "m", "m", "mirror"}, Work{other_}}) settle(work);
  const auto check = [&](std::string_view limit, std::string_view expected) {
    set(fmt::format("limits: [{{{}}}]", limit));
    restart();
    EXPECT_EQ(standings(), expected) << limit;
  };
  check("requests_per_minute: 9", "3");
  check("tokens_per_minute: 900", "30");
  check("money_per_hour: 1", "40");  // the work of a hedge is paid
  check("money_per_day: 1", "40");
  check("per: user, requests_per_minute: 9", "user_ann 2, user_bob 1");
  check("per: key, tokens_per_minute: 900", "key_1 20, key_2 10");
  check("per: model, requests_per_minute: 9", "m 2, route 1");  // as it was named, whoever did it
  check("per: [user, model], tokens_per_minute: 900", "user_ann m 10, user_ann route 10, user_bob m 10");
  check("models: [route], requests_per_minute: 9", "1");
  check("principals: [user_bob], requests_per_minute: 9", "1");
  check("concurrent: 4", "");
  check("requests_per_minute: 2", "2");  // not more than all: what was used before there was a limit is forgiven soon
  ASSERT_TRUE(limits_->texts().remove(admin_, "l", ""));
  set_all("limits: [{per: installation, requests_per_minute: 9}, {tokens_per_minute: 900}]");
  restart();
  EXPECT_EQ(standings(""), "4") << "of all projects together";
  EXPECT_EQ(standings("proj_b"), "10");
  EXPECT_EQ(count(other_, "m", 10), 5) << "4 of 9 are used";
}

// Whatever happened before: nobody has more after a restart than before it, and who used little has what is left.
TEST_F(RefilledLimitsTest, GiveNobodyMore) {
  constexpr std::int64_t kAmount = 100;
  std::mt19937 random(5);
  for (int round = 0; round < 24; ++round) {
    const int greed = round % 4;  // tries in a minute: 30, 60, 120, 240
    set(fmt::format("limits: [{{requests_per_minute: {}}}]", kAmount), fmt::format("l{}", round));
    clock_.pass(10 * kMinute);
    int in = 0;
    for (int i = 0; i < (30 << greed) * 4; ++i) {
      clock_.pass(std::uniform_int_distribution<Micros>(0, 2 * (2 * kSecond >> greed))(random));
      if (!ask(admin_)) continue;
      settle({.call = admin_});
      ++in;
    }
    EXPECT_GT(in, 100);
    const auto used = [&] { return limits_->standings("proj_a").front().used; };
    const std::int64_t before = used();
    restart();
    EXPECT_GE(used() + 1, before) << "greed " << greed;  // 1: parts of a whole one
    EXPECT_LE(used(), greed == 0 ? before + 3 : kAmount) << "greed " << greed;  // 3: what comes back in a span
    ASSERT_TRUE(limits_->texts().remove(admin_, fmt::format("l{}", round), ""));
  }
}

TEST_F(LimitsTest, StandingsAreTheProjectsAlone) {
  set("limits: [{per: user, requests_per_minute: 5, concurrent: 3}]");
  EXPECT_TRUE(ask(admin_));
  LimitTicket ticket;
  ASSERT_TRUE(limits_->take(ticket, bob_, "m", 0, 0));
  const auto all = limits_->standings("proj_a");
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].who, "user_ann");
  EXPECT_EQ(all[0].used, 1);
  EXPECT_EQ(all[0].reset, 12 * kSecond);
  EXPECT_EQ(all[0].text, "5 requests a minute for each user");
  EXPECT_EQ(all[3].who, "user_bob");
  EXPECT_EQ(all[3].used, 1) << "under way";
  EXPECT_TRUE(limits_->standings("proj_b").empty());
}

TEST_F(LimitsTest, ThreadsNeverGetMoreThanThereIs) {
  set("limits: [{requests_per_minute: 1000, concurrent: 4}, {per: user, tokens_per_minute: 100000}]");
  std::atomic<int> in = 0, running = 0, most = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        LimitTicket ticket;
        if (!limits_->take(ticket, t % 2 == 0 ? admin_ : bob_, "m", 100, 0)) continue;
        const int now = ++running;
        int seen = most.load();
        while (seen < now && !most.compare_exchange_weak(seen, now)) {
        }
        ticket.settle(50, 0);
        ++in;
        --running;
      }
    });
  threads.clear();
  EXPECT_LE(most.load(), 4);
  EXPECT_LE(in.load(), 1000);
  EXPECT_GE(in.load(), 4);
  for (const auto& standing : limits_->standings("proj_a")) {
    if (standing.kind == LimitKind::kRequests) {
      EXPECT_EQ(standing.used, in.load());
    }
    if (standing.kind == LimitKind::kConcurrent) {
      EXPECT_EQ(standing.used, 0);
    }
  }
}

}  // namespace
}  // namespace stoa::governance
