#include "data/retrieve/diversity.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <random>

#include <gtest/gtest.h>

#include "data/index/index.h"

namespace stoa::data {
namespace {

std::vector<std::size_t> order(const std::vector<double>& scores, const std::vector<std::vector<float>>& vectors, double diversity, std::size_t k) {
  std::vector<std::size_t> out;
  for (const Chosen& one : choose_diverse(scores, vectors, diversity, k)) out.push_back(one.passage);
  return out;
}

TEST(Diversity, LikenessCountsAgainstAPassage) {
  const std::vector<float> a{1, 0}, b{0, 1}, half{0.6F, 0.8F};
  struct Case {
    std::vector<double> scores;
    std::vector<std::vector<float>> vectors;
    double diversity;
    std::size_t k;
    std::vector<std::size_t> expected;
  };
  for (const auto& [scores, vectors, diversity, k, expected] : std::vector<Case>{
           {{0.9, 0.8, 0.5}, {a, a, b}, 0, 3, {0, 1, 2}},
           {{0.9, 0.8, 0.5}, {a, a, b}, 0.5, 3, {0, 2, 1}},       // 0.25 of the third, -0.1 of the copy
           {{0.9, 0.8, 0.5}, {a, a, b}, 0.2, 3, {0, 1, 2}},       // 0.44 of the copy, 0.4 of the third
           {{0.9, 0.8, 0.5}, {a, half, b}, 0.5, 2, {0, 2}},       // 0.1 of the half copy
           {{0.5, 0.9, 0.7}, {a, a, a}, 1, 3, {0, 1, 2}},         // variety alone: copies stay as they came
           {{0.9, 0.8, 0.7}, {a, {}, a}, 0.9, 3, {0, 1, 2}},      // nothing is known of the second
           {{0.9, 0.8}, {a, {1, 0, 0}}, 0.9, 2, {0, 1}},          // of another model
           {{0.9}, {a}, 0.5, 5, {0}},
           {{}, {}, 0.5, 5, {}},
       })
    EXPECT_EQ(order(scores, vectors, diversity, k), expected) << diversity;
  EXPECT_NEAR(choose_diverse(std::vector<double>{0.9, 0.8}, std::vector<std::vector<float>>{a, half}, 0.5, 2)[1].likeness, 0.6, 1e-6);
}

// The formula as it is written, every likeness computed anew.
std::vector<std::size_t> plain_order(const std::vector<double>& scores, const std::vector<std::vector<float>>& vectors, double diversity, std::size_t k) {
  std::vector<std::size_t> chosen;
  while (chosen.size() < std::min(k, scores.size())) {
    std::optional<std::pair<double, std::size_t>> best;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (std::ranges::find(chosen, i) != chosen.end()) continue;
      double likeness = 0;
      for (const std::size_t other : chosen) likeness = std::max(likeness, static_cast<double>(dot(vectors[i].data(), vectors[other].data(), vectors[i].size())));
      const double gain = (1 - diversity) * scores[i] - diversity * likeness;
      if (!best || gain > best->first) best = {gain, i};
    }
    chosen.push_back(best->second);
  }
  return chosen;
}

TEST(Diversity, IsTheFormula) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> share(0, 1);
  for (int round = 0; round < 50; ++round) {
    std::vector<double> scores;
    std::vector<std::vector<float>> vectors;
    for (int i = 0; i < 30; ++i) {
      scores.push_back(share(random));
      std::vector<float> v(8);
      float sum = 0;
      for (float& x : v) {
        x = normal(random);
        sum += x * x;
      }
      for (float& x : v) x /= std::sqrt(sum);
      vectors.push_back(std::move(v));
    }
    std::ranges::sort(scores, std::greater());
    const double diversity = share(random);
    EXPECT_EQ(order(scores, vectors, diversity, 12), plain_order(scores, vectors, diversity, 12));
  }
}

}  // namespace
}  // namespace stoa::data
