// Scores of attention: queries times keys, a page at a time. See simd_attention.h, which this is a part of.
#pragma once

#include "models/compute/cpu/simd_elementwise.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

inline constexpr int kStepPages = 4;
inline constexpr int kStepPositions = kStepPages * kPageTokens;

struct AttentionState {
  alignas(64) float q[kAttentionRows * KvLayout::kMaxHeadDim];  // [row][head_dim], already scaled
  alignas(64) float sums[kAttentionRows * KvLayout::kMaxHeadDim];
  alignas(64) float weights[kAttentionRows][kStepPositions];
  alignas(64) float totals[kAttentionRows][16];  // of weights, lane by lane
  float largest[kAttentionRows];
  // For KvType::kQ8: q in 8 bits, its scales, and what the offset of unsigned keys adds to a product.
  alignas(64) std::int8_t q8[kAttentionRows * KvLayout::kMaxHeadDim];
  float q8_scale[kAttentionRows];
  std::int32_t q8_offset[kAttentionRows];
};

// The pages of one step.
struct PageStep {
  int pages = 0;
  int filled = 0;  // positions that have keys and values; the others hold whatever was there, even NaN
  const std::byte* k[kStepPages + 1] = {};  // and what comes next, to be fetched ahead: pages lie anywhere, and the hardware does not
  const std::byte* v[kStepPages + 1] = {};  // follow from one to another
};

template <KvType type>
inline constexpr int kElementBytes = type == KvType::kF32 ? 4 : type == KvType::kF16 ? 2 : 1;

// Sixteen elements of a block of keys or values.
template <class S, KvType type>
inline typename S::F load_kv(const std::byte* block, std::int64_t element) {
  if constexpr (type == KvType::kF16) return S::load_f16(block + 2 * element);
  if constexpr (type == KvType::kF32) return S::load(reinterpret_cast<const float*>(block) + element);
  if constexpr (type == KvType::kQ8) return S::from_i8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block + kKvScaleBytes + element)));
}

template <class S, KvType type, int kRows>
inline void scores(AttentionState& state, int row, int page, const std::byte* k, const std::byte* ahead, int head_dim) {
  typename S::F sums[kRows][2];
  if constexpr (type == KvType::kQ8) {
    typename S::I acc[kRows][2];
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) acc[r][0] = acc[r][1] = S::kWide ? S::four_bytes(&state.q8_offset[row + r]) : S::izero();
    const std::int8_t* q = state.q8 + row * head_dim;
    for (int d = 0; d < head_dim; d += 4, q += 4) {
      const std::byte* at = k + kKvScaleBytes + d * kPageTokens;
      auto k0 = S::iload(at), k1 = S::iload(at + 64);
      if constexpr (S::kWide) {
        k0 = S::flip_top_bit(k0);
        k1 = S::flip_top_bit(k1);
      }
      __builtin_prefetch(ahead + d * kPageTokens);
      __builtin_prefetch(ahead + d * kPageTokens + 64);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const auto four = S::four_bytes(q + r * head_dim);
        acc[r][0] = S::template dot<!S::kWide>(acc[r][0], k0, four);
        acc[r][1] = S::template dot<!S::kWide>(acc[r][1], k1, four);
      }
    }
    const auto* scales = reinterpret_cast<const float*>(k);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto scale = S::set1(state.q8_scale[row + r]);
      sums[r][0] = S::mul(S::to_float(acc[r][0]), S::mul(scale, S::load(scales)));
      sums[r][1] = S::mul(S::to_float(acc[r][1]), S::mul(scale, S::load(scales + 16)));
    }
  } else {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = S::zero();
    const float* q = state.q + row * head_dim;
    for (int d = 0; d < head_dim; ++d, ++q) {
      const auto k0 = load_kv<S, type>(k, d * kPageTokens);
      const auto k1 = load_kv<S, type>(k, d * kPageTokens + 16);
      for (int i = 0; i < kPageTokens * kElementBytes<type>; i += 64) __builtin_prefetch(ahead + d * kPageTokens * kElementBytes<type> + i);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const auto x = S::set1(q[r * head_dim]);
        sums[r][0] = S::fma(x, k0, sums[r][0]);
        sums[r][1] = S::fma(x, k1, sums[r][1]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    S::store(state.weights[row + r] + page * kPageTokens, sums[r][0]);
    S::store(state.weights[row + r] + page * kPageTokens + 16, sums[r][1]);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
