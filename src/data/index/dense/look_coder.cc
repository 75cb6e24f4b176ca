#include "data/index/dense/look_coder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/index/dense/vector_coder.h"

namespace stoa::data {

namespace {

// By how many of its standard deviations a look may be too low. With these, walks read the longer codes of a fifth of the nodes that they look at, and find as much as without looks but
// for a tenth of a point (docs/adr/0006-indexes-of-passages.md).
constexpr float kDeviations = 1.25f;
constexpr std::size_t kSteps = 4;  // of a rotation, each of which mixes eight dimensions: every dimension goes into hundreds of others
constexpr double kStretch = 4096;  // of squares by these steps

using Lanes = float __attribute__((vector_size(16)));
using WholeLanes = std::int32_t __attribute__((vector_size(16)));
using ByteLanes = std::int8_t __attribute__((vector_size(4)));
constexpr std::size_t kLanes = 4, kRows = 8;

const LookHead& head(const std::byte* look) { return *reinterpret_cast<const LookHead*>(look); }

std::vector<float> make_flips(std::size_t count) {
  std::vector<float> flips(count);
  std::uint64_t state = 1;
  for (float& flip : flips) {
    state = state * 6364136223846793005 + 1442695040888963407;  // Knuth's MMIX
    flip = (state >> 63) != 0 ? 1.0f : -1.0f;
  }
  return flips;
}

void cross(Lanes& a, Lanes& b) {
  const Lanes sum = a + b;
  b = a - b;
  a = sum;
}

// Of four rows, the four columns.
void transpose(const Lanes* rows, Lanes* columns) {
  const Lanes a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5), b = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
  const Lanes c = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7), d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
  columns[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  columns[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  columns[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  columns[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// Flips signs, and turns each eight dimensions that are `size` / 8 apart by a Hadamard matrix; what came of eight lies side by side then. `size` is a multiple of 64.
void turn(const float* from, const float* flips, std::size_t size, float* to) {
  const std::size_t row = size / kRows;
  for (std::size_t at = 0; at < row; at += kLanes) {
    Lanes rows[kRows], columns[kRows], flip;
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r) {
      std::memcpy(&rows[r], from + r * row + at, sizeof(Lanes));
      std::memcpy(&flip, flips + r * row + at, sizeof(Lanes));
      rows[r] *= flip;
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; r += 2) cross(rows[r], rows[r + 1]);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows; ++r)
      if ((r & 2) == 0) cross(rows[r], rows[r + 2]);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < kRows / 2; ++r) cross(rows[r], rows[r + 4]);
    transpose(rows, columns);
    transpose(rows + kLanes, columns + kLanes);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kRows; ++i) std::memcpy(to + (at + i % kLanes) * kRows + i / kLanes * kLanes, &columns[i], sizeof(Lanes));
  }
}

}  // namespace

LookCoder::LookCoder(int dimensions, VectorMetric metric, const CodeKernels& kernels)
    : dimensions_(static_cast<std::size_t>(dimensions)), words_((dimensions_ + 63) / 64), bytes_((sizeof(LookHead) + 8 * words_ + 63) / 64 * 64), metric_(metric),
      flips_(make_flips(kSteps * 64 * words_)), kernels_(kernels) {}

// The centred vector after the rotation, but for its length: squares are kStretch times as great.
std::vector<float> LookCoder::turned(std::span<const float> vector, std::span<const float> mean) const {
  const std::size_t size = 64 * words_;
  std::vector<float> here(size), there(size);
  for (std::size_t d = 0; d < dimensions_; ++d) here[d] = mean.empty() ? vector[d] : vector[d] - mean[d];
  for (std::size_t step = 0; step < kSteps; ++step) {
    turn(here.data(), flips_.data() + step * size, size, there.data());
    here.swap(there);
  }
  return here;
}

void LookCoder::encode(std::span<const float> vector, std::span<const float> mean, std::byte* look) const {
  const std::vector<float> x = turned(vector, mean);
  auto* signs = reinterpret_cast<std::uint8_t*>(look) + sizeof(LookHead);
  std::memset(look, 0, bytes_);
  double square = 0, sum = 0, along_mean = 0;
  for (std::size_t d = 0; d < x.size(); ++d) {
    signs[d / 8] |= static_cast<std::uint8_t>((x[d] > 0 ? 1 : 0) << (d % 8));
    square += static_cast<double>(x[d]) * x[d];
    sum += std::abs(x[d]);
  }
  square /= kStretch;
  sum /= std::sqrt(kStretch);
  if (metric_ == VectorMetric::kDot && !mean.empty())
    for (std::size_t d = 0; d < dimensions_; ++d) along_mean += static_cast<double>(vector[d] - mean[d]) * mean[d];
  const auto size = static_cast<double>(x.size());
  const double scale = sum > 0 ? square / sum : 0;
  LookHead& out = *reinterpret_cast<LookHead*>(look);
  out.scale = static_cast<float>(scale);
  out.bias = static_cast<float>(metric_ == VectorMetric::kDot ? along_mean : -square / 2);
  // |x|^2 (1 - c^2) / c^2 with c^2 = |x|^2 / (f^2 size).
  out.error = static_cast<float>(std::sqrt(std::max(0.0, scale * scale * size - square) / (size - 1)));
}

bool LookCoder::plausible(const std::byte* look) const {
  static const float kGreatest = 4 * std::sqrt(VectorCoder::kGreatestSquare);
  // Comparisons with what is no number are false.
  const LookHead& it = head(look);
  return it.scale >= 0 && it.scale <= kGreatest && it.error >= 0 && it.error <= kGreatest && std::abs(it.bias) <= 16 * VectorCoder::kGreatestSquare;
}

void LookCoder::encode_query(std::span<const float> vector, std::span<const float> mean, LookQuery& query) const {
  const std::vector<float> q = turned(vector, mean);
  Lanes low{}, high{}, squares{};
  for (std::size_t d = 0; d < q.size(); d += kLanes) {
    Lanes some;
    std::memcpy(&some, q.data() + d, sizeof some);
    low = some < low ? some : low;
    high = some > high ? some : high;
    squares += some * some;
  }
  float largest = 0, square = 0;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    largest = std::max({largest, -low[lane], high[lane]});
    square += squares[lane];
  }
  constexpr int kLargest = 127;
  const float unit = std::isnormal(largest / kLargest) ? largest / kLargest : 1, inverse = 1 / unit;
  query.turned.resize(q.size());
  WholeLanes sums{};
  for (std::size_t d = 0; d < q.size(); d += kLanes) {
    Lanes some;
    std::memcpy(&some, q.data() + d, sizeof some);
    const WholeLanes whole = __builtin_convertvector(some * inverse + (kLargest + 0.5f), WholeLanes) - kLargest;  // the nearest: what is cut is not negative
    const ByteLanes bytes = __builtin_convertvector(whole, ByteLanes);
    std::memcpy(query.turned.data() + d, &bytes, sizeof bytes);
    sums += whole;
  }
  query.sum = sums[0] + sums[1] + sums[2] + sums[3];
  query.unit = unit / static_cast<float>(std::sqrt(kStretch));
  query.doubt = kDeviations * std::sqrt(square / static_cast<float>(kStretch));
}

void LookCoder::reaches(const LookQuery& query, std::span<const std::byte* const> looks, float* reaches) const {
  const std::uint8_t* signs[kMost];
  std::int32_t sums[kMost];
  for (std::size_t i = 0; i < looks.size(); ++i) signs[i] = reinterpret_cast<const std::uint8_t*>(looks[i]) + sizeof(LookHead);
  kernels_.sum_marked(query.turned.data(), words_, signs, looks.size(), sums);
  for (std::size_t i = 0; i < looks.size(); ++i) {
    const LookHead& it = head(looks[i]);
    // What has a plus less what has a minus.
    const auto product = static_cast<float>(2 * sums[i] - query.sum);
    reaches[i] = it.bias + it.scale * (query.unit * product) + it.error * query.doubt;
  }
}

}  // namespace stoa::data
