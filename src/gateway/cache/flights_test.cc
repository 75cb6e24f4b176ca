#include "gateway/cache/flights.h"

#include "gateway/cache/test_cache.h"

namespace stoa::gateway {
namespace {

class FlightTest : public CacheTest {
 protected:
  void SetUp() override {
    set("answers: deterministic");
    model_->hold_all();
  }
  // Asks in a thread of its own.
  std::thread start(Heard& heard, Call who, CacheNote* note = nullptr) {
    return std::thread([this, &heard, note, who = std::move(who)] { heard = ask(who, question(), {.note = note}); });
  }
  void wait_asked(int n) {
    while (model_->asked < n) std::this_thread::sleep_for(milliseconds(1));
  }
};

TEST_F(FlightTest, EqualRequestsShareOne) {
  std::vector<Heard> heard(6);
  std::vector<std::thread> threads;
  threads.push_back(start(heard[0], call("proj_a", "req_lead")));
  wait_asked(1);
  std::vector<std::unique_ptr<CacheNote>> notes;
  for (int i = 1; i < 6; ++i) {
    notes.push_back(std::make_unique<CacheNote>());
    threads.push_back(start(heard[static_cast<std::size_t>(i)], call("proj_a", "req_follow"), notes.back().get()));
  }
  for (const auto& note : notes)
    while (!note->state()) std::this_thread::sleep_for(milliseconds(1));
  Heard elsewhere;
  set("answers: deterministic", "proj_b");
  std::thread other = start(elsewhere, call("proj_b"));
  wait_asked(2);
  model_->open();
  for (auto& thread : threads) thread.join();
  other.join();
  EXPECT_EQ(elsewhere.text, "hi #2") << "another project's request is never shared";
  for (std::size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].text, "hi #1");
    EXPECT_EQ(heard[i].kind(), i == 0 ? "" : "shared");
    if (i > 0) {
      EXPECT_EQ(heard[i].outcome->cache->source, "req_lead");
      EXPECT_EQ(heard[i].outcome->usage.prompt_tokens, 7);
    }
  }
  EXPECT_EQ(cache_->stats("proj_a").shared, 5);
}

TEST_F(FlightTest, ALeaderThatGoesLeavesTheOthersTheirAnswer) {
  Heard lead, follow;
  const Call leader = call("proj_a", "req_lead");
  CacheNote note;
  const Call follower = call();
  std::thread one = start(lead, leader);
  wait_asked(1);
  std::thread two = start(follow, follower, &note);
  while (!note.state()) std::this_thread::sleep_for(milliseconds(1));
  leader.cancel.cancel();
  std::this_thread::sleep_for(milliseconds(60));  // the watcher has looked at it
  model_->open();
  one.join();
  two.join();
  EXPECT_EQ(lead.outcome->finish, FinishReason::kCancelled);
  EXPECT_EQ(lead.outcome->usage.completion_tokens, 3) << "what was generated is paid by who asked for it";
  EXPECT_EQ(follow.text, "hi #1");
  EXPECT_EQ(follow.outcome->finish, FinishReason::kStop);
}

TEST_F(FlightTest, WhenAllHaveGoneTheGenerationStops) {
  Heard lead, follow;
  const Call leader = call("proj_a", "req_lead");
  CacheNote note;
  const Call follower = call();
  std::thread one = start(lead, leader);
  wait_asked(1);
  std::thread two = start(follow, follower, &note);
  while (!note.state()) std::this_thread::sleep_for(milliseconds(1));
  follower.cancel.cancel();
  two.join();
  EXPECT_EQ(follow.outcome->finish, FinishReason::kCancelled);
  EXPECT_EQ(follow.kind(), "shared");
  leader.cancel.cancel();
  one.join();  // though the model still waits
  EXPECT_EQ(lead.outcome->finish, FinishReason::kCancelled);
  model_->open();
  EXPECT_EQ(ask(call(), question()).text, "hi #2");
}

TEST_F(FlightTest, FailuresAreToldToAll) {
  model_->breaks = true;
  Heard lead, follow;
  CacheNote note;
  const Call follower = call();
  std::thread one = start(lead, call());
  wait_asked(1);
  std::thread two = start(follow, follower, &note);
  while (!note.state()) std::this_thread::sleep_for(milliseconds(1));
  model_->open();
  one.join();
  two.join();
  for (const Heard* heard : {&lead, &follow}) {
    EXPECT_EQ(heard->text, "hi");
    EXPECT_EQ(heard->outcome->finish, FinishReason::kError);
    EXPECT_EQ(heard->outcome->failure->message, "broke");
  }
  EXPECT_EQ(cache_->stats("proj_a").answers, 0U);
}

TEST_F(FlightTest, ManyAtOnce) {
  model_->open();
  std::vector<std::thread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        Call who = call();
        if ((t + i) % 7 == 0) who.cancel.cancel();
        const std::string text = fmt::format("q{}", i % 5);
        const Heard heard = ask(who, question(text));
        if (!who.cancel.cancelled() && !heard.text.starts_with(text + " #")) ++wrong;
        if (i % 20 == 0) cache_->forget_document("doc_1");
      }
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace stoa::gateway
