#include "models/engine/step_budget.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

// Steps of a machine that needs `fixed` microseconds a step and `each` a token.
int settled(double fixed, double each, int most = 512) {
  StepBudget budget(std::chrono::milliseconds(50), most);
  for (int i = 0; i < 100; ++i) {
    const int tokens = budget.chunk() + 4;
    budget.measured(budget.chunk(), tokens, fixed + each * tokens);
  }
  return budget.chunk();
}

TEST(StepBudget, FindsTheChunkThatMeetsTheTarget) {
  EXPECT_NEAR(settled(10'000, 200), 200, 8);
  EXPECT_NEAR(settled(0, 500), 100, 8);
  EXPECT_EQ(settled(0, 10), 512);         // a fast machine: as much as a step may have
  EXPECT_EQ(settled(100'000, 100), 16);   // a slow one: prompts get on all the same
  EXPECT_EQ(settled(100'000, 100, 8), 8);
}

TEST(StepBudget, StepsWithoutPromptsSayNothing) {
  StepBudget budget(std::chrono::milliseconds(50), 512);
  const int before = budget.chunk();
  budget.measured(0, 8, 90'000);
  EXPECT_EQ(budget.chunk(), before);
}

}  // namespace
}  // namespace stoa::models
