#include "models/engine/wait_queue.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

class WaitQueueTest : public testing::Test {
 protected:
  Sequence& push(const std::string& tenant, int priority = 0, bool admitted = false) {
    Generation generation;
    generation.tenant = tenant;
    generation.priority = priority;
    generation.prompt = {++names_};
    auto sequence = std::make_unique<Sequence>(std::move(generation), std::make_shared<Outbox>(4, [] {}));
    sequence->admitted = admitted;
    auto& made = *sequence;
    queue_.push(std::move(sequence));
    return made;
  }
  // Numbers of the requests in the order of service; each costs its tenant 10.
  std::vector<int> order() {
    std::vector<int> out;
    while (!queue_.empty()) {
      const auto next = queue_.take_next(shares_);
      shares_.charge(next->request.tenant, 10);
      out.push_back(next->tokens.front());
    }
    return out;
  }

  WaitQueue queue_;
  FairShare shares_;
  int names_ = 0;
};

TEST_F(WaitQueueTest, TenantsTakeTurnsWithinAPriority) {
  for (const char* tenant : {"a", "b", "c"}) shares_.enter(tenant);
  for (int i = 0; i < 4; ++i) push("a");  // 1 to 4
  push("b");                              // 5
  push("b");                              // 6
  push("c", 1);                           // 7: urgent
  push("c", -1);                          // 8: can wait
  EXPECT_EQ(order(), (std::vector<int>{7, 1, 5, 2, 6, 3, 4, 8}));
}

TEST_F(WaitQueueTest, WhatWasPreemptedGoesOnFirst) {
  push("a");                // 1
  push("a", 0, true);       // 2
  push("b", 1);             // 3
  EXPECT_EQ(order(), (std::vector<int>{3, 2, 1}));
}

TEST_F(WaitQueueTest, AFullQueueLetsOtherTenantsAndPrioritiesIn) {
  for (int i = 0; i < 3; ++i) push("a");
  push("b");
  EXPECT_EQ(queue_.displace_for("a", 0), nullptr) << "the longest queue is its own";
  auto gone = queue_.displace_for("c", 0);
  ASSERT_NE(gone, nullptr);
  EXPECT_EQ(gone->tokens.front(), 3) << "the newest of the longest queue";
  gone = queue_.displace_for("c", 0);
  ASSERT_NE(gone, nullptr);
  EXPECT_EQ(gone->tokens.front(), 2);
  EXPECT_EQ(queue_.displace_for("c", 0), nullptr) << "one each";
  gone = queue_.displace_for("a", 1);
  ASSERT_NE(gone, nullptr);
  EXPECT_EQ(gone->tokens.front(), 4) << "the newest of a lower priority";
  EXPECT_EQ(queue_.displace_for("c", -1), nullptr);
  push("b", -1, true);
  EXPECT_EQ(queue_.displace_for("b", -1), nullptr) << "what has been computed for stays";
}

TEST_F(WaitQueueTest, CountsWhatGoesAheadIfTenantsTakeTurns) {
  for (int i = 0; i < 10; ++i) push("a");
  push("b");
  push("b");
  push("c", 1);
  EXPECT_EQ(queue_.ahead_of("a", 0), 10 + 2 + 1);
  EXPECT_EQ(queue_.ahead_of("b", 0), 2 + 3 + 1);
  EXPECT_EQ(queue_.ahead_of("d", 0), 1 + 1 + 1);
  EXPECT_EQ(queue_.ahead_of("d", 1), 1);
  EXPECT_EQ(queue_.ahead_of("d", 2), 0);
}

TEST_F(WaitQueueTest, TakesOutWhatHasEnded) {
  push("a");
  push("b").over = true;
  push("c");
  const auto taken = queue_.take_if([](Sequence& s) { return s.over; });
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken.front()->tokens.front(), 2);
  EXPECT_EQ(order(), (std::vector<int>{1, 3}));
}

TEST(WaitEstimate, FollowsFromTheTimeInASlot) {
  WaitEstimate estimate(4);
  EXPECT_EQ(estimate.seconds(100, 0), 0) << "nothing is known yet";
  estimate.finished(8);
  EXPECT_EQ(estimate.seconds(0, 1), 0);
  EXPECT_EQ(estimate.seconds(0, 0), 2);
  EXPECT_EQ(estimate.seconds(7, 0), 16);
  EXPECT_EQ(estimate.seconds(7, 4), 8);
  for (int i = 0; i < 200; ++i) estimate.finished(1);
  EXPECT_NEAR(estimate.seconds(3, 0), 1, 0.01);
}

}  // namespace
}  // namespace stoa::models
