#include "models/engine/drafting.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

using Tokens = std::vector<std::int32_t>;

TEST(LookUpDraft, ContinuesTheLatestLongestRepetition) {
  const struct {
    const char* name;
    Tokens tokens;
    int count;
    Tokens draft;
  } cases[] = {
      {"nothing repeats", {1, 2, 3, 4}, 4, {}},
      {"one equal token is no evidence", {1, 2, 9, 2}, 4, {}},
      {"two are", {1, 2, 3, 4, 1, 2}, 4, {3, 4, 1, 2}},
      {"no more than asked for", {1, 2, 3, 4, 1, 2}, 1, {3}},
      {"none asked for", {1, 2, 3, 4, 1, 2}, 0, {}},
      {"the longer match wins", {5, 1, 2, 3, 7, 1, 2, 4, 5, 1, 2}, 2, {3, 7}},
      {"of equal ones the latest", {1, 2, 3, 0, 1, 2, 4, 0, 9, 1, 2}, 1, {4}},
      {"a run goes on", {6, 6, 6, 6}, 3, {6, 6, 6}},
      {"so does a period", {8, 1, 2, 1, 2}, 5, {1, 2, 1, 2, 1}},
      {"empty", {}, 4, {}},
      {"one token", {1}, 4, {}},
  };
  for (const auto& c : cases) {
    Tokens draft;
    look_up_draft(c.tokens, c.count, draft);
    EXPECT_EQ(draft, c.draft) << c.name;
  }
}

TEST(LookUpDraft, LooksBackALimitedWay) {
  Tokens tokens = {-1, -2, -3};
  for (int i = 0; i < 20'000; ++i) tokens.push_back(i);
  tokens.insert(tokens.end(), {-1, -2});
  Tokens draft;
  look_up_draft(tokens, 1, draft);
  EXPECT_TRUE(draft.empty());
  tokens.erase(tokens.begin() + 3, tokens.begin() + 10'000);
  look_up_draft(tokens, 1, draft);
  EXPECT_EQ(draft, Tokens{-3});
}

TEST(DraftLength, GrowsWithSuccessAndShrinksToWhatWasRight) {
  DraftLength length;
  EXPECT_EQ(length.want(16), 4);
  EXPECT_EQ(length.want(3), 3);
  length.checked(4, 4);
  EXPECT_EQ(length.want(16), 8);
  length.checked(8, 8);
  length.checked(16, 16);
  EXPECT_EQ(length.want(16), 16);
  length.checked(16, 5);
  EXPECT_EQ(length.want(16), 6);
}

TEST(DraftLength, StopsGuessingWhereGuessesAreWrongAndTriesAgain) {
  DraftLength length;
  int wrong = 0;
  for (; length.want(8) > 0 && wrong < 100; ++wrong) length.checked(length.want(8), 0);
  EXPECT_LT(wrong, 10);
  int first_pause = 0;
  for (; length.want(8) == 0 && first_pause < 1000; ++first_pause) length.skipped();
  EXPECT_GT(first_pause, 0);
  length.checked(length.want(8), 0);
  int second_pause = 0;
  for (; length.want(8) == 0 && second_pause < 1000; ++second_pause) length.skipped();
  EXPECT_EQ(second_pause, 2 * first_pause);
  length.checked(2, 2);
  EXPECT_EQ(length.want(8), 4) << "a right guess turns it on again";
}

}  // namespace
}  // namespace stoa::models
