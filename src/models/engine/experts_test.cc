#include "models/engine/experts.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"

namespace stoa::models {
namespace {

using Floats = std::vector<float>;

struct Matrices {
  Matrices(std::mt19937& random, int count, int rows, int cols) {
    std::normal_distribution<float> normal(0, 0.3f);
    for (int i = 0; i < count; ++i) {
      values.emplace_back(static_cast<std::size_t>(rows * cols));
      for (float& v : values.back()) v = normal(random);
    }
    for (const auto& v : values) weights.push_back(*make_weights(DType::kF32, rows, cols, std::as_bytes(std::span(v))));
  }
  std::vector<Floats> values;
  std::vector<Weights> weights;
};

Floats times(const Floats& matrix, const Floats& x) {
  Floats out(matrix.size() / x.size());
  for (std::size_t r = 0; r < out.size(); ++r) out[r] = std::inner_product(x.begin(), x.end(), matrix.begin() + static_cast<std::ptrdiff_t>(r * x.size()), 0.0f);
  return out;
}
Floats feed_forward(const Floats& gate, const Floats& up, const Floats& down, const Floats& x) {
  auto g = times(gate, x);
  const auto u = times(up, x);
  for (std::size_t i = 0; i < g.size(); ++i) g[i] = g[i] / (1 + std::exp(-g[i])) * u[i];
  return times(down, g);
}

// Row by row from the definition: all scores, the best few, the sum of what they make.
TEST(ExpertMixture, EqualsTheDefinition) {
  constexpr int kWidth = 32, kHidden = 48, kShared = 64, kCount = 5;
  std::mt19937 random(3);
  const Matrices router(random, 1, kCount, kWidth), gate(random, kCount, kHidden, kWidth), up(random, kCount, kHidden, kWidth),
      down(random, kCount, kWidth, kHidden), shared_gate(random, 1, 1, kWidth), sg(random, 1, kShared, kWidth), su(random, 1, kShared, kWidth),
      sd(random, 1, kWidth, kShared);
  LayerWeights layer;
  layer.router = router.weights[0];
  layer.expert_gate = gate.weights;
  layer.expert_up = up.weights;
  layer.expert_down = down.weights;
  layer.shared_gate = shared_gate.values[0];
  layer.matrices[kGate] = sg.weights[0];
  layer.matrices[kUp] = su.weights[0];
  layer.matrices[kDown] = sd.weights[0];

  ThreadPool threads(2);
  CpuBackend backend(threads);
  const auto compute = backend.make_compute();
  ExpertMixture mixture;
  for (const auto& experts : {ExpertConfig{.count = kCount, .used = 2, .feed_forward = kHidden},
                              ExpertConfig{.count = kCount, .used = 3, .feed_forward = kHidden, .shared = kShared, .normalized = false, .scale = 2.5f},
                              ExpertConfig{.count = kCount, .used = kCount, .feed_forward = kHidden}}) {
    DecoderConfig config;
    config.width = kWidth;
    config.experts = experts;
    for (const int rows : {1, 2, 40}) {
      std::normal_distribution<float> normal(0, 1);
      Floats x(static_cast<std::size_t>(rows * kWidth)), out(x.size(), 0.5f);
      for (float& v : x) v = normal(random);
      mixture.run(*compute, config, layer, x.data(), rows, out.data());
      for (int row = 0; row < rows; ++row) {
        const Floats input(x.begin() + row * kWidth, x.begin() + (row + 1) * kWidth);
        auto scores = times(router.values[0], input);
        double total = 0, best = 0;
        for (float& s : scores) total += s = std::exp(s);
        for (float& s : scores) s = static_cast<float>(s / total);
        std::vector<std::size_t> order(kCount);
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::sort(order, std::greater<>{}, [&](std::size_t i) { return scores[i]; });
        order.resize(static_cast<std::size_t>(experts.used));
        for (const auto i : order) best += scores[i];
        Floats expected(kWidth, 0.5f);
        for (const auto i : order) {
          const auto made = feed_forward(gate.values[i], up.values[i], down.values[i], input);
          const auto weight = static_cast<float>(experts.scale * scores[i] / (experts.normalized ? best : 1));
          for (std::size_t j = 0; j < expected.size(); ++j) expected[j] += weight * made[j];
        }
        if (experts.shared > 0) {
          const auto made = feed_forward(sg.values[0], su.values[0], sd.values[0], input);
          const float weight = 1 / (1 + std::exp(-times(shared_gate.values[0], input)[0]));
          for (std::size_t j = 0; j < expected.size(); ++j) expected[j] += weight * made[j];
        }
        for (std::size_t j = 0; j < expected.size(); ++j) {
          ASSERT_NEAR(out[static_cast<std::size_t>(row * kWidth) + j], expected[j], 2e-4) << experts.used << " of " << kCount << ", row " << row << " of " << rows;
        }
      }
    }
  }
}

}  // namespace
}  // namespace stoa::models
