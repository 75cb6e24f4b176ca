#include "models/engine/experts.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <numeric>

namespace stoa::models {
namespace {

template <class T>
void grow(std::vector<T>& buffer, std::int64_t size) {
  if (buffer.size() < static_cast<std::size_t>(size)) buffer.resize(static_cast<std::size_t>(size));
}

}  // namespace

void activate(Compute& compute, Activation activation, float* gate, const float* up, std::int64_t count) {
  if (activation == Activation::kGelu) return compute.gelu_mul(gate, up, count);
  compute.silu_mul(gate, up, count);
}

std::size_t ExpertMixture::bytes(const DecoderConfig& config, int rows) {
  const auto& e = config.experts;
  if (e.count == 0) return 0;
  const auto n = static_cast<std::size_t>(rows), used = n * static_cast<std::size_t>(e.used);
  const auto hidden = std::max(used * static_cast<std::size_t>(e.feed_forward), n * static_cast<std::size_t>(e.shared));
  return sizeof(float) * (n * static_cast<std::size_t>(e.count) + used * static_cast<std::size_t>(config.width) + 2 * hidden) + used * sizeof(Choice);
}

void ExpertMixture::route(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows) {
  const auto& e = config.experts;
  grow(scores_, std::int64_t{rows} * e.count);
  const Product product{.w = &layer.router, .y = scores_.data(), .y_stride = e.count};
  compute.matmul(x, config.width, rows, config.width, {&product, 1});
  choices_.assign(static_cast<std::size_t>(rows) * static_cast<std::size_t>(e.used), {});
  begin_.assign(static_cast<std::size_t>(e.count) + 1, 0);
  ranking_.resize(static_cast<std::size_t>(e.count));
  for (std::int64_t row = 0; row < rows; ++row) {
    float* const scores = scores_.data() + row * e.count;
    compute.softmax(scores, e.count);
    std::iota(ranking_.begin(), ranking_.end(), 0);
    std::partial_sort(ranking_.begin(), ranking_.begin() + e.used, ranking_.end(),
                      [scores](int a, int b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
    float total = 0;
    for (int i = 0; i < e.used; ++i) total += scores[ranking_[static_cast<std::size_t>(i)]];
    const float factor = e.normalized ? e.scale / std::max(total, 1e-5f) : e.scale;
    for (int i = 0; i < e.used; ++i) {
      const auto expert = ranking_[static_cast<std::size_t>(i)];
      choices_[static_cast<std::size_t>(row * e.used + i)] = {.expert = expert, .weight = factor * scores[expert]};
      ++begin_[static_cast<std::size_t>(expert) + 1];
    }
  }
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  auto next = begin_;
  for (auto& choice : choices_) choice.place = next[static_cast<std::size_t>(choice.expert)]++;
}

void ExpertMixture::run(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows, float* out) {
  const auto& e = config.experts;
  const std::int64_t width = config.width, hidden = e.feed_forward, taken = std::int64_t{rows} * e.used;
  route(compute, config, layer, x, rows);
  grow(sorted_, taken * width);
  grow(gate_, taken * hidden);
  grow(up_, taken * hidden);
  for (std::int64_t i = 0; i < taken; ++i) {
    std::memcpy(sorted_.data() + choices_[static_cast<std::size_t>(i)].place * width, x + i / e.used * width, static_cast<std::size_t>(width) * sizeof(float));
  }
  const auto each = [&](auto&& fn) {
    for (std::size_t expert = 0; expert + 1 < begin_.size(); ++expert) {
      if (const int count = begin_[expert + 1] - begin_[expert]; count > 0) fn(expert, std::int64_t{begin_[expert]}, count);
    }
  };
  std::vector<Product> products;
  each([&](std::size_t expert, std::int64_t first, int count) {
    products.push_back({.w = &layer.expert_gate[expert], .y = gate_.data() + first * hidden, .y_stride = hidden});
    products.push_back({.w = &layer.expert_up[expert], .y = up_.data() + first * hidden, .y_stride = hidden});
    if (rows == 1) return;  // all experts read the one row: one parallel region for all of them
    compute.matmul(sorted_.data() + first * width, width, count, config.width, products);
    products.clear();
  });
  if (rows == 1) compute.matmul(x, width, 1, config.width, products);
  activate(compute, config.activation, gate_.data(), up_.data(), taken * hidden);
  each([&](std::size_t expert, std::int64_t first, int count) {
    const Product down{.w = &layer.expert_down[expert], .y = sorted_.data() + first * width, .y_stride = width};
    compute.matmul(gate_.data() + first * hidden, hidden, count, e.feed_forward, {&down, 1});
  });
  for (std::int64_t i = 0; i < taken; ++i) {
    const auto& choice = choices_[static_cast<std::size_t>(i)];
    const float* from = sorted_.data() + choice.place * width;
    float* to = out + i / e.used * width;
    for (std::int64_t j = 0; j < width; ++j) to[j] += choice.weight * from[j];
  }
  if (e.shared > 0) add_shared(compute, config, layer, x, rows, out);
}

void ExpertMixture::add_shared(Compute& compute, const DecoderConfig& config, const LayerWeights& layer, const float* x, int rows, float* out) {
  const std::int64_t width = config.width, hidden = config.experts.shared;
  grow(gate_, rows * hidden);
  grow(up_, rows * hidden);
  const std::array products = {Product{.w = &layer[kGate], .y = gate_.data(), .y_stride = hidden},
                               Product{.w = &layer[kUp], .y = up_.data(), .y_stride = hidden}};
  compute.matmul(x, width, rows, config.width, products);
  activate(compute, config.activation, gate_.data(), up_.data(), rows * hidden);
  const Product down{.w = &layer[kDown], .y = sorted_.data(), .y_stride = width};
  compute.matmul(gate_.data(), hidden, rows, config.experts.shared, {&down, 1});
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const from = x + row * width;
    const float score = std::inner_product(from, from + width, layer.shared_gate.begin(), 0.0f);
    const float weight = 1 / (1 + std::exp(-score));
    for (std::int64_t j = 0; j < width; ++j) out[row * width + j] += weight * sorted_[static_cast<std::size_t>(row * width + j)];
  }
}

}  // namespace stoa::models
