#include "gateway/routing/target_health.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

const SteadyTime kStart{std::chrono::hours(1)};

TEST(TargetHealthTest, FailuresInARowOpenTheBreakerAndOneTryClosesIt) {
  TargetHealth health;
  auto now = kStart;
  const auto fail_once = [&] {
    health.begin("a");
    health.failed("a", now);
  };
  for (int i = 0; i < TargetHealth::kFailures - 1; ++i) fail_once();
  EXPECT_TRUE(health.admits("a", now));
  fail_once();
  EXPECT_FALSE(health.admits("a", now));
  EXPECT_TRUE(health.state("a", now).open);
  EXPECT_TRUE(health.admits("b", now)) << "others are not concerned";
  now += TargetHealth::kFirstPause;
  EXPECT_TRUE(health.admits("a", now));
  EXPECT_FALSE(health.admits("a", now)) << "one at a time tries";
  fail_once();
  now += TargetHealth::kFirstPause;
  EXPECT_FALSE(health.admits("a", now)) << "the pause has doubled";
  now += TargetHealth::kFirstPause;
  EXPECT_TRUE(health.admits("a", now));
  health.begin("a");
  health.ended("a");
  EXPECT_TRUE(health.admits("a", now)) << "the try told nothing: another may";
  health.begin("a");
  health.succeeded("a", milliseconds(1), now);
  EXPECT_TRUE(health.admits("a", now));
  EXPECT_TRUE(health.admits("a", now));
  EXPECT_EQ(health.state("a", now).failures, 0);
}

TEST(TargetHealthTest, ThePauseHasALimit) {
  TargetHealth health;
  for (int i = 0; i < 100; ++i) {
    health.begin("a");
    health.failed("a", kStart);
  }
  EXPECT_FALSE(health.admits("a", kStart + TargetHealth::kMostPause - milliseconds(1)));
  EXPECT_TRUE(health.admits("a", kStart + TargetHealth::kMostPause));
}

TEST(TargetHealthTest, CostRisesAtOnceAndFallsSlowly) {
  TargetHealth health;
  auto now = kStart;
  const auto answer = [&](int ms) {
    health.begin("a");
    health.succeeded("a", milliseconds(ms), now);
  };
  EXPECT_EQ(health.cost("a"), 0);
  EXPECT_EQ(health.fair_time("a"), TargetHealth::kFairTime);
  answer(10);
  EXPECT_EQ(health.fair_time("a"), TargetHealth::kFairTime);
  EXPECT_EQ(health.cost("a"), 10'000);
  answer(50);
  EXPECT_EQ(health.cost("a"), 50'000);
  now += TargetHealth::kDecay / 10;
  answer(10);
  EXPECT_NEAR(health.cost("a"), 46'194, 5);  // 10 + 40 exp(-0.1), in ms
  now += 10 * TargetHealth::kDecay;
  answer(10);
  EXPECT_NEAR(health.cost("a"), 10'000, 5);
  health.begin("a");
  health.begin("a");
  EXPECT_NEAR(health.cost("a"), 30'000, 15) << "with those under way";
}

TEST(TargetHealthTest, RemembersAtMostSoMany) {
  TargetHealth health;
  health.begin("busy");
  for (std::size_t i = 0; i < TargetHealth::kMaxTargets + 10; ++i) {
    const std::string name = fmt::format("t{}", i);
    health.begin(name);
    health.succeeded(name, milliseconds(5), kStart);
  }
  EXPECT_EQ(health.cost("t0"), 0) << "forgotten";
  EXPECT_EQ(health.state("busy", kStart).under_way, 1);
}

}  // namespace
}  // namespace stoa::gateway
