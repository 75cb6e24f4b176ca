// Products of block formats with few rows of x (decode), over a vector type S (simd_avx2.h): each group of four weight blocks is
// loaded once and multiplied with every row of x; lanes run along the row, so nothing is rearranged and the weights stream at memory speed.
#pragma once

#include "models/compute/simd_weights.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

inline constexpr int kPrefetchDistance = 4096;  // bytes, beyond the rows being read

template <class S, bool kSigned>
inline typename S::I dot(typename S::I acc, typename S::I w, typename S::I x) {
  if constexpr (kSigned) {
    return S::dot_signed(acc, w, x);
  } else {
    return S::dot_unsigned(acc, w, x);
  }
}

inline void put(const MatmulTile& t, int i, int row, float value) {
  float* y = t.y + i * t.y_stride + row;
  if (t.bias != nullptr) value += t.bias[row];
  *y = t.accumulate ? *y + value : value;
}

// The running sums of one weight row and one row of x.
template <class S, class Fmt>
struct DirectSum {
  typename S::F products = S::zero();
  __m256 mins = _mm256_setzero_ps();  // the upper four count, or the lower four where the minimum comes first

  void add(const GroupWeights<S>& w, const ActivationGroup& x) {
    const __m256 factors = _mm256_mul_ps(w.scale_min, _mm256_loadu_ps(Fmt::kMinimum ? x.minimum_sum : x.scale_sum));
    const auto x_low = S::iload(x.q);
    const auto x_high = S::iload(x.q + kGroup / 2);
    if constexpr (Fmt::kHalves) {
      const __m128 scales = _mm_load_ps(x.scale_sum);
      const __m128 high_sum = _mm_sub_ps(_mm_load_ps(x.scale_sum + 4), _mm_load_ps(x.low_sum));
      products = S::fma(S::to_float(S::dot_unsigned(S::izero(), w.low, x_low)), S::spread(_mm256_castps256_ps128(factors)), products);
      products = S::fma(S::to_float(S::dot_unsigned(S::izero(), w.high, x_high)), S::spread(_mm_mul_ps(w.scale_high, scales)), products);
      const __m128 sums = _mm_fmadd_ps(w.scale_high, high_sum, _mm_mul_ps(_mm256_castps256_ps128(w.scale_min), _mm_load_ps(x.low_sum)));
      mins = _mm256_add_ps(mins, join(_mm_setzero_ps(), _mm_mul_ps(sums, _mm_set1_ps(-32.0f))));
    } else {
      const auto sum = dot<S, Fmt::kSigned>(dot<S, Fmt::kSigned>(S::izero(), w.low, x_low), w.high, x_high);
      products = S::fma(S::to_float(sum), Fmt::kMinimum ? S::spread_high(factors) : S::spread(_mm256_castps256_ps128(factors)), products);
      mins = _mm256_add_ps(mins, factors);
    }
  }
  float total() const { return S::reduce_add(products) + sum4(Fmt::kMinimum ? _mm256_castps256_ps128(mins) : _mm256_extractf128_ps(mins, 1)); }
};

template <class S, class Fmt, int kRows, int kColumns>
void direct_rows(const MatmulTile& t, int row) {
  const auto* x = static_cast<const ActivationGroup*>(t.x);
  const auto* w = reinterpret_cast<const Byte*>(t.w) + static_cast<std::size_t>(row) * t.row_bytes;
  const int blocks = t.cols / kBlock;
  const int whole = blocks / kGroupBlocks;
  const Byte* ahead = w + kRows * t.row_bytes + kPrefetchDistance;
  DirectSum<S, Fmt> sums[kRows][kColumns];
  for (int g = 0; g < whole; ++g) {
    // Rows lie one after the other, so these loops together read one stretch of memory. Hardware loses track of several rows at once.
    for (int i = 0; i < kRows * Fmt::kBytes; i += 64) __builtin_prefetch(ahead + g * kRows * Fmt::kBytes + i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      GroupWeights<S> group;
      Fmt::load(w + static_cast<std::size_t>(r) * t.row_bytes, g, group);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c].add(group, x[c * t.x_stride + g]);
    }
  }
  if (const int rest = blocks % kGroupBlocks; rest != 0) {
    const Byte* end = reinterpret_cast<const Byte*>(t.w) + static_cast<std::size_t>(t.rows) * t.row_bytes;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      GroupWeights<S> group;
      load_tail<S, Fmt>(w + static_cast<std::size_t>(r) * t.row_bytes, whole, rest, end, group);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c].add(group, x[c * t.x_stride + whole]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) put(t, c, row + r, sums[r][c].total());
  }
}

template <class S, class Fmt, int kColumns>
void direct_columns(const MatmulTile& t) {
  constexpr int kRows = kColumns == 1 ? 4 : 2;
  int row = 0;
  for (; row + kRows <= t.rows; row += kRows) direct_rows<S, Fmt, kRows, kColumns>(t, row);
  for (; row < t.rows; ++row) direct_rows<S, Fmt, 1, kColumns>(t, row);
}

template <class S, class Fmt>
void direct(const MatmulTile& t) {
  static_assert(kDirectRows == 4);
  switch (t.m) {
    case 1: return direct_columns<S, Fmt, 1>(t);
    case 2: return direct_columns<S, Fmt, 2>(t);
    case 3: return direct_columns<S, Fmt, 3>(t);
    default: return direct_columns<S, Fmt, 4>(t);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
