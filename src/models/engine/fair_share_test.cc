#include "models/engine/fair_share.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

TEST(FairShare, ServesWhoHasHadLeast) {
  FairShare shares;
  shares.enter("a");
  shares.enter("b");
  shares.charge("a", 10);
  EXPECT_LT(shares.served("b"), shares.served("a"));
  shares.charge("b", 11);
  EXPECT_LT(shares.served("a"), shares.served("b"));
}

TEST(FairShare, IdlenessSavesNothingUpAndLeavingClearsNoDebt) {
  FairShare shares;
  shares.enter("busy");
  shares.enter("debtor");
  shares.charge("busy", 1000);
  shares.charge("debtor", 5000);
  shares.leave("debtor");
  shares.enter("late");  // after others have been served much: starts level with the least served, not at zero
  EXPECT_EQ(shares.served("late"), 1000);
  shares.enter("debtor");
  EXPECT_EQ(shares.served("debtor"), 5000);
}

TEST(FairShare, ForgetsWhoOwesNothing) {
  FairShare shares;
  shares.enter("stays");
  for (int i = 0; i < 1000; ++i) {
    const auto tenant = std::to_string(i);
    shares.enter(tenant);
    shares.charge(tenant, 1);
    shares.leave(tenant);
    shares.charge("stays", 1);
  }
  shares.enter("x");
  shares.leave("x");
  EXPECT_LE(shares.size(), 2u);
  shares.leave("stays");
  EXPECT_EQ(shares.size(), 0u);
  shares.leave("nobody");
  shares.charge("nobody", 1);
  EXPECT_EQ(shares.size(), 0u);
}

}  // namespace
}  // namespace stoa::models
