#include "feedback/evaluation/metrics.h"

#include <cmath>

#include <gtest/gtest.h>

namespace stoa::feedback {
namespace {

struct Ranking {
  std::vector<int> grades, relevant;  // of the results, and of all that is relevant
  std::size_t k;
  double recall, reciprocal, ndcg, average, context;
};

// By hand. The graded one is 3 at the first place, 1 at the third, of grades 3, 2, 1: (3 + 1/2) / (3 + 2/log2(3) + 1/2).
const Ranking kRankings[] = {
    {{1, 0, 0}, {1}, 3, 1, 1, 1, 1, 1},
    {{0, 0, 1}, {1}, 3, 1, 1.0 / 3, 0.5, 1.0 / 3, 1.0 / 3},
    {{0, 0, 1}, {1}, 2, 0, 0, 0, 0, 0},
    {{}, {1, 1}, 10, 0, 0, 0, 0, 0},
    {{1, 0, 1, 0}, {1, 1, 1, 1}, 4, 0.5, 1, 1.5 / (1 + 1 / std::log2(3.0) + 0.5 + 1 / std::log2(5.0)), (1 + 2.0 / 3) / 4, (1 + 2.0 / 3) / 2},
    {{3, 0, 1}, {1, 2, 3}, 10, 2.0 / 3, 1, 3.5 / (3.5 + 2 / std::log2(3.0)), (1 + 2.0 / 3) / 3, (1 + 2.0 / 3) / 2},
    {{0, 1, 1}, {1, 1}, 10, 1, 0.5, (1 / std::log2(3.0) + 0.5) / (1 + 1 / std::log2(3.0)), (0.5 + 2.0 / 3) / 2, (0.5 + 2.0 / 3) / 2},
};

TEST(Metrics, OrdersAsDefined) {
  for (const auto& [grades, relevant, k, recall, reciprocal, ndcg, average, context] : kRankings) {
    EXPECT_DOUBLE_EQ(recall_at(grades, relevant, k), recall);
    EXPECT_DOUBLE_EQ(reciprocal_rank(grades, k), reciprocal);
    EXPECT_NEAR(ndcg_at(grades, relevant, k), ndcg, 1e-12);
    EXPECT_NEAR(average_precision(grades, relevant, k), average, 1e-12);
    EXPECT_NEAR(context_precision(grades, k), context, 1e-12);
  }
}

struct Compared {
  const char *answer, *reference;
  bool exact, contains;
  double f1;
};
// F1: 2 x shared words / words of both.
const Compared kAnswers[] = {
    {"The Normans.", "normans", true, true, 1},
    {"in France", "France", false, true, 2.0 / 3},
    {"the cat sat on the mat", "a cat on a hat", false, false, 2.0 * 2 / (4 + 3)},  // without articles: cat sat on mat, cat on hat
    {"no no no", "no", false, true, 2.0 / 4},
    {"", "", true, false, 1},
    {"the", "an", true, false, 1},   // nothing is left of either
    {"", "France", false, false, 0},
    {"\u00c9TAT fran\u00e7ais", "\u00e9tat", false, true, 2.0 / 3},
    {"about 1,066 men", "1066", false, true, 0.5},
    {"cats", "cat", false, false, 0},
};

TEST(Metrics, AnswersAsSquadComparesThem) {
  for (const auto& [answer, reference, exact, contains, f1] : kAnswers) {
    EXPECT_EQ(exact_match(answer, reference), exact) << answer;
    EXPECT_EQ(contains_answer(answer, reference), contains) << answer;
    EXPECT_DOUBLE_EQ(word_f1(answer, reference), f1) << answer;
  }
  EXPECT_EQ(normalized_answer("  The \t(quick)  brown-fox, an' it's "), "quick brownfox its");
}

TEST(Metrics, AnsweredAndRefused) {
  AnswerConfusion confusion;
  EXPECT_EQ(confusion.accuracy(), 0);
  for (int i = 0; i < 6; ++i) confusion.add(true, i < 3);
  for (int i = 0; i < 4; ++i) confusion.add(false, i < 1);
  EXPECT_EQ(confusion.total(), 10u);
  EXPECT_DOUBLE_EQ(confusion.accuracy(), 0.6);
  EXPECT_DOUBLE_EQ(confusion.majority_baseline(), 0.6);
  EXPECT_DOUBLE_EQ(confusion.balanced_accuracy(), (0.5 + 0.75) / 2);
  EXPECT_DOUBLE_EQ((AnswerConfusion{3, 1, 0, 0}.balanced_accuracy()), 0.75) << "one kind alone";
}

TEST(Metrics, PercentilesByNearestRank) {
  const std::vector<double> times{1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  EXPECT_EQ(percentile(times, 0.5), 5);
  EXPECT_EQ(percentile(times, 0.95), 10);
  EXPECT_EQ(percentile(times, 1), 10);
  EXPECT_EQ(percentile(times, 1e-9), 1);
  EXPECT_EQ(percentile({}, 0.5), 0);
}

TEST(Metrics, SignTestIsTheBinomial) {
  EXPECT_DOUBLE_EQ(sign_test(0, 0), 1);
  EXPECT_NEAR(sign_test(5, 0), 2 / 32.0, 1e-12);
  EXPECT_NEAR(sign_test(1, 7), 2 * (1 + 8) / 256.0, 1e-12);
  EXPECT_DOUBLE_EQ(sign_test(4, 4), 1);
  EXPECT_LT(sign_test(2000, 1500), 1e-10) << "and thousands do not underflow";
}

TEST(Metrics, PairedDifferences) {
  const std::vector<double> a{0, 0, 0, 1, 1, 0, 0, 0}, b{1, 1, 1, 1, 1, 1, 1, 0};
  const auto better = paired_difference(a, b);
  EXPECT_EQ(better.pairs, 8u);
  EXPECT_EQ(better.wins, 5u);
  EXPECT_EQ(better.losses, 0u);
  EXPECT_DOUBLE_EQ(better.mean, 5 / 8.0);
  EXPECT_GT(better.low, 0.2);
  EXPECT_LE(better.high, 1);
  EXPECT_LT(better.bootstrap_p, 0.02);
  const auto back = paired_difference(b, a);
  EXPECT_DOUBLE_EQ(back.mean, -better.mean);
  EXPECT_EQ(back.losses, 5u);
  const auto again = paired_difference(a, b);
  EXPECT_EQ(again.low, better.low) << "the same seed";
  const auto same = paired_difference(a, a);
  EXPECT_EQ(same.bootstrap_p, 1);
  EXPECT_EQ(same.low, 0);
}

TEST(Metrics, DiceFallTheSameForASeed) {
  Dice one(7), two(7), other(8);
  EXPECT_EQ(one.next(), two.next());
  EXPECT_NE(one.next(), other.next());
  EXPECT_EQ(Dice(1234567).next(), 6457827717110365317u) << "as the reference implementation of splitmix64";
  std::vector<int> counts(5);
  for (int i = 0; i < 5000; ++i) ++counts[one.below(5)];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

}  // namespace
}  // namespace stoa::feedback
