#include "data/index/dense/look_coder.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "data/index/dense/test_vectors.h"
#include "data/index/dense/vector_coder.h"

namespace stoa::data {
namespace {

constexpr VectorMetric kMetrics[] = {VectorMetric::kCosine, VectorMetric::kDot, VectorMetric::kL2};

double product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum += static_cast<double>(a[d]) * b[d];
  return sum;
}

std::vector<float> less(std::vector<float> vector, const std::vector<float>& mean) {
  for (std::size_t d = 0; d < mean.size(); ++d) vector[d] -= mean[d];
  return vector;
}

// Zero in most dimensions, and with one that is greater than all others.
std::vector<float> sparse(std::size_t dimensions, std::mt19937& random) {
  std::vector<float> vector(dimensions);
  for (int i = 0; i < 8; ++i) vector[random() % dimensions] = static_cast<float>(random() % 100) / 100;
  vector[random() % 5] = 2;
  return vector;
}

// What looks say of keys: on average right, and off as far as they say themselves.
TEST(LookCoder, EstimatesAreOffByTheirErrors) {
  constexpr int kSizes[] = {192, 384, 1000};
  for (const VectorMetric metric : kMetrics)
    for (const int dimensions : kSizes)
      for (const bool is_sparse : {false, true}) {
        SCOPED_TRACE(testing::Message() << static_cast<int>(metric) << ", " << dimensions << (is_sparse ? " sparse" : ""));
        TestVectors source(dimensions);
        std::mt19937 random(1);
        const auto size = static_cast<std::size_t>(dimensions);
        const auto next = [&] { return is_sparse ? sparse(size, random) : source.next(); };
        const std::vector<float> mean(size, is_sparse ? 0.02f : 0.5f);
        const LookCoder coder(dimensions, metric, best_code_kernels());
        alignas(64) std::byte look[256];
        ASSERT_LE(coder.bytes(), sizeof look);
        const std::byte* const looks[] = {look};
        double sum = 0, squares = 0;
        int above = 0;
        constexpr int kPairs = 2000;
        for (int i = 0; i < kPairs; ++i) {
          const auto x = next(), q = next(), centred = less(x, mean);
          coder.encode(x, mean, look);
          EXPECT_TRUE(coder.plausible(look));
          LookQuery query;
          coder.encode_query(q, mean, query);
          float reach = 0, estimate = 0;
          coder.reaches(query, looks, &reach);
          query.doubt = 0;
          coder.reaches(query, looks, &estimate);
          const double key = metric == VectorMetric::kDot ? product(centred, q) : product(centred, less(q, mean)) - product(centred, centred) / 2;
          const double error = reinterpret_cast<const LookHead*>(look)->error * std::sqrt(product(less(q, mean), less(q, mean)));
          sum += (key - estimate) / error;
          squares += (key - estimate) * (key - estimate) / (error * error);
          above += key > reach;
        }
        EXPECT_NEAR(sum / kPairs, 0, 0.15);
        EXPECT_LE(std::sqrt(squares / kPairs), 1.15);
        EXPECT_GE(std::sqrt(squares / kPairs), 0.3);
        EXPECT_LE(above, kPairs * 15 / 100);
      }
}

TEST(LookCoder, VectorsAtTheEndsOfTheRange) {
  constexpr int kDimensions = 192;
  const LookCoder coder(kDimensions, VectorMetric::kL2, best_code_kernels());
  const float great = std::sqrt(VectorCoder::kGreatestSquare / kDimensions);
  const std::vector<float> none, zero(kDimensions), greatest(kDimensions, great), opposite(kDimensions, -great);
  for (const auto* vector : {&zero, &greatest})
    for (const auto* mean : {&none, &opposite}) {
      alignas(64) std::byte look[64];
      const std::byte* const looks[] = {look};
      coder.encode(*vector, *mean, look);
      EXPECT_TRUE(coder.plausible(look));
      LookQuery query;
      coder.encode_query(*vector, *mean, query);
      float reach = 0;
      coder.reaches(query, looks, &reach);
      const std::vector<float> centred = less(*vector, *mean);
      const double key = product(centred, centred) / 2;
      EXPECT_TRUE(std::isfinite(reach));
      EXPECT_NEAR(reach, key, key);
    }
}

TEST(LookCoder, NumbersThatNoLookHasAreImplausible) {
  const LookCoder coder(192, VectorMetric::kCosine, best_code_kernels());
  alignas(64) std::byte look[64];
  coder.encode(TestVectors(192).next(), {}, look);
  ASSERT_TRUE(coder.plausible(look));
  const float none = std::numeric_limits<float>::quiet_NaN(), infinite = std::numeric_limits<float>::infinity();
  LookHead& head = *reinterpret_cast<LookHead*>(look);
  const LookHead whole = head;
  const LookHead cases[] = {{none, 0, 0}, {-1, 0, 0}, {infinite, 0, 0}, {1, none, 0}, {1, -infinite, 0}, {1, 0, none}, {1, 0, -1}, {1, 0, 1e30f}};
  for (const LookHead& hostile : cases) {
    head = hostile;
    EXPECT_FALSE(coder.plausible(look));
  }
  head = whole;
  EXPECT_TRUE(coder.plausible(look));
}

}  // namespace
}  // namespace stoa::data
