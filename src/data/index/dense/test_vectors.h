// Vectors for tests: clusters that lie in few dimensions, as embeddings do, and what an exact search finds among them.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <vector>

#include "data/index/dense/dense_index.h"

namespace stoa::data {

class TestVectors {
 public:
  explicit TestVectors(int dimensions, unsigned seed = 1) : dimensions_(dimensions), random_(seed), axes_(kInner * static_cast<std::size_t>(dimensions)) {
    for (float& value : axes_) value = normal_(random_);
    for (auto& centre : centres_)
      for (float& value : centre) value = normal_(random_);
  }

  std::vector<float> next() { return next(random_() % kClusters); }
  std::vector<float> next(std::size_t cluster) {
    std::vector<float> vector(static_cast<std::size_t>(dimensions_), 0.5f);
    for (std::size_t i = 0; i < kInner; ++i) {
      const float along = centres_[cluster][i] + 0.5f * normal_(random_);
      for (std::size_t d = 0; d < vector.size(); ++d) vector[d] += along * axes_[i * vector.size() + d];
    }
    for (float& value : vector) value += 0.1f * normal_(random_);
    return vector;
  }

  static constexpr std::size_t kClusters = 50;

 private:
  static constexpr std::size_t kInner = 12;
  int dimensions_;
  std::mt19937 random_;
  std::normal_distribution<float> normal_;
  std::vector<float> axes_;
  float centres_[kClusters][kInner] = {};
};

inline double exact_score(VectorMetric metric, const std::vector<float>& a, const std::vector<float>& b) {
  double dot = 0, aa = 0, bb = 0;
  for (std::size_t d = 0; d < a.size(); ++d) {
    dot += static_cast<double>(a[d]) * b[d];
    aa += static_cast<double>(a[d]) * a[d];
    bb += static_cast<double>(b[d]) * b[d];
  }
  switch (metric) {
    case VectorMetric::kCosine: return dot / std::sqrt(aa * bb);
    case VectorMetric::kDot: return dot;
    case VectorMetric::kL2: return 2 * dot - aa - bb;
  }
  return 0;
}

using VectorsBySlot = std::map<std::uint32_t, std::vector<float>>;

inline std::vector<std::uint32_t> exact_best(VectorMetric metric, const VectorsBySlot& vectors, const std::vector<float>& query, std::size_t k,
                                             const SlotFilter* filter = nullptr) {
  std::vector<std::pair<double, std::uint32_t>> scored;
  for (const auto& [slot, vector] : vectors)
    if (filter == nullptr || filter->allows(slot)) scored.emplace_back(-exact_score(metric, query, vector), slot);
  std::sort(scored.begin(), scored.end());
  std::vector<std::uint32_t> best;
  for (std::size_t i = 0; i < std::min(k, scored.size()); ++i) best.push_back(scored[i].second);
  return best;
}

// The share of the exact ten best that searches find.
inline double recall(const DenseIndex& index, const VectorsBySlot& vectors, const std::vector<std::vector<float>>& queries, std::size_t width = 64,
                     const SlotFilter* filter = nullptr) {
  std::size_t found = 0, wanted = 0;
  for (const auto& query : queries) {
    const auto hits = index.search(query, 10, width, filter).value();
    for (const std::uint32_t slot : exact_best(index.metric(), vectors, query, 10, filter)) {
      ++wanted;
      found += std::any_of(hits.begin(), hits.end(), [slot = slot](const DenseHit& hit) { return hit.slot == slot; });
    }
  }
  return static_cast<double>(found) / static_cast<double>(std::max<std::size_t>(wanted, 1));
}

}  // namespace stoa::data
