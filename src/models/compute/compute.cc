#include "models/compute/compute.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace stoa::models {

Rope::Rope(RopeStyle style, int dim, double base, std::span<const float> factors, double scale, const Yarn* yarn, double magnitude)
    : style_(style), magnitude_(magnitude) {
  // The pair that turns so many times within the original context.
  const auto pair = [&](double turns) { return dim * std::log(yarn->original_context / (turns * 2 * std::numbers::pi)) / (2 * std::log(base)); };
  const double fast = yarn != nullptr ? std::max(0.0, std::floor(pair(yarn->beta_fast))) : 0;
  const double slow = yarn != nullptr ? std::min(dim - 1.0, std::ceil(pair(yarn->beta_slow))) : 0;
  frequencies_.resize(static_cast<std::size_t>(dim / 2));
  for (std::size_t i = 0; i < frequencies_.size(); ++i) {
    const auto index = static_cast<double>(i);
    const double kept = yarn != nullptr ? 1 - std::clamp((index - fast) / std::max(0.001, slow - fast), 0.0, 1.0) : 0;
    frequencies_[i] = (scale * (1 - kept) + kept) * std::pow(base, -2.0 * index / dim);
    if (i < factors.size()) frequencies_[i] /= static_cast<double>(factors[i]);
  }
}

void RopeAngles::set(const Rope& rope, std::span<const std::int32_t> positions) {
  const std::vector<double>& frequencies = rope.frequencies();
  style_ = rope.style();
  half_ = static_cast<int>(frequencies.size());
  values_.resize(positions.size() * 2 * frequencies.size());
  float* out = values_.data();
  for (const std::int32_t position : positions) {
    for (const double frequency : frequencies) *out++ = static_cast<float>(rope.magnitude() * std::cos(position * frequency));
    for (const double frequency : frequencies) *out++ = static_cast<float>(rope.magnitude() * std::sin(position * frequency));
  }
}

}  // namespace stoa::models
