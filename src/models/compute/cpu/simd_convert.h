// Numbers in other formats, over a vector type S (simd_avx2.h): see Kernels in kernels.h.
#pragma once

#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/simd_avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

inline __m128 half_rounded(__m128 v) { return _mm_cvtph_ps(_mm_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)); }

template <class S>
void quantize(const float* x, int n, ActivationGroup* out) {
  using F = typename S::F;
  const int blocks = n / kBlock;
  for (int g = 0; g < groups_of(n); ++g) {
    ActivationGroup& group = out[g];
    alignas(16) float scales[kGroupBlocks], low_sums[kGroupBlocks], sums[kGroupBlocks];
    for (int b = 0; b < kGroupBlocks; ++b) {
      const bool there = g * kGroupBlocks + b < blocks;
      const float* p = x + (there ? g * kGroup + b * kBlock : 0);
      const F low = there ? S::load(p) : S::zero();
      const F high = there ? S::load(p + 16) : S::zero();
      const float largest = S::reduce_max(S::max(S::abs(low), S::abs(high)));
      const F inverse = S::set1(largest > 0 ? 127.0f / largest : 0.0f);
      const F q_low = S::round(S::mul(low, inverse));
      const F q_high = S::round(S::mul(high, inverse));
      S::store_i8(group.q + 16 * b, q_low);
      S::store_i8(group.q + kGroup / 2 + 16 * b, q_high);
      const float low_sum = S::reduce_add(q_low);  // whole numbers, so exact in any order
      scales[b] = largest / 127.0f;
      low_sums[b] = low_sum;
      sums[b] = low_sum + S::reduce_add(q_high);
    }
    const __m128 scale = _mm_load_ps(scales);
    const __m128 rounded = half_rounded(scale);
    const __m128 offset = _mm_set1_ps(-kOffset);
    _mm_store_ps(group.scale, rounded);
    _mm_store_ps(group.sum, _mm_load_ps(sums));
    _mm_store_si128(reinterpret_cast<__m128i*>(group.offset), _mm_cvtps_epi32(_mm_mul_ps(offset, _mm_load_ps(sums))));
    _mm_store_si128(reinterpret_cast<__m128i*>(group.low_offset), _mm_cvtps_epi32(_mm_mul_ps(offset, _mm_load_ps(low_sums))));
    _mm_store_ps(group.minimum_sum, half_rounded(_mm_mul_ps(scale, _mm_load_ps(sums))));
  }
}

template <class S>
void to_f16(const float* x, std::uint16_t* out, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) S::store_f16(out + i, S::load(x + i));
  for (; i < n; ++i) out[i] = static_cast<std::uint16_t>(_mm_cvtsi128_si32(_mm_cvtps_ph(_mm_set_ss(x[i]), _MM_FROUND_TO_NEAREST_INT)));
}

template <class S>
void to_bf16(const float* x, std::uint16_t* out, int n) {
  int i = 0;
  for (; i + 16 <= n; i += 16) S::store_bf16(out + i, S::load(x + i));
  if (i < n) {
    alignas(32) std::uint16_t rest[16];
    S::store_bf16(rest, S::load_n(x + i, n - i));
    __builtin_memcpy(out + i, rest, static_cast<std::size_t>(n - i) * sizeof *out);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
