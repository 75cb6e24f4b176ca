// Loading the block formats into registers, for simd_matmul.h. Whatever the format, four blocks of a row (128 values) become
//   low, high   bytes: the lower and the upper 16 stored integers of the four blocks, the order of ActivationGroup::q
//   scale_min   the four scales, then what to add per unit of activation (minimum or offset): w = scale * q + min; for kMinimum
//               formats the other way round, as ActivationGroup has what they are multiplied with
// Formats that store signed or offset integers are brought to unsigned ones, because the dot product instructions want one unsigned
// operand; only Avx2 keeps Q8_0 signed. Q6_K has a scale for each 16 values: `scale_high` serves the upper halves, and the
// minimum of either half is -32 times its scale.
#pragma once

#include "models/compute/kernels.h"
#include "models/compute/simd_avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

using Byte = std::uint8_t;

template <class S>
struct GroupWeights {
  typename S::I low;
  typename S::I high;
  __m256 scale_min;
  __m128 scale_high;
};

inline __m256 join(__m128 low, __m128 high) { return _mm256_set_m128(high, low); }

// Nibbles of four blocks whose first nibble byte is at p, `stride` apart.
template <class S>
inline void load_nibbles(const Byte* p, int stride, GroupWeights<S>& out) {
  const auto v = S::chunks(p, p + stride, p + 2 * stride, p + 3 * stride);
  out.low = S::low_bits(v, 0x0f);
  out.high = S::low_bits(S::template shift_right<4>(v), 0x0f);
}

// The fifth bits of four blocks of 32, from their 32-bit masks.
template <class S>
inline void add_fifth_bits(const Byte* p, int stride, GroupWeights<S>& out) {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  for (int b = 0; b < 4; ++b) {
    const std::uint64_t bits = load_as<std::uint32_t>(p + b * stride);
    low |= (bits & 0xffff) << (16 * b);
    high |= (bits >> 16) << (16 * b);
  }
  out.low = S::or_(out.low, S::sixteen_where(low));
  out.high = S::or_(out.high, S::sixteen_where(high));
}

// Scales at p, p + stride...: w = d * q + offset * d.
inline __m256 scales_with_offset(const Byte* p, int stride, float offset) {
  const std::uint64_t bits = static_cast<std::uint64_t>(load_as<std::uint16_t>(p)) | static_cast<std::uint64_t>(load_as<std::uint16_t>(p + stride)) << 16 |
                             static_cast<std::uint64_t>(load_as<std::uint16_t>(p + 2 * stride)) << 32 |
                             static_cast<std::uint64_t>(load_as<std::uint16_t>(p + 3 * stride)) << 48;
  const __m128 d = four_halves(bits);
  return join(d, _mm_mul_ps(d, _mm_set1_ps(offset)));
}

// Pairs (d, m) at p, p + stride...: the four m, then the four d.
inline __m256 minimums_with_scale(const Byte* p, int stride) {
  const __m128i pairs = _mm_setr_epi32(load_as<std::int32_t>(p), load_as<std::int32_t>(p + stride), load_as<std::int32_t>(p + 2 * stride),
                                       load_as<std::int32_t>(p + 3 * stride));
  return _mm256_cvtph_ps(_mm_shuffle_epi8(pairs, _mm_setr_epi8(2, 3, 6, 7, 10, 11, 14, 15, 0, 1, 4, 5, 8, 9, 12, 13)));
}

// Scales and minimums of sub-blocks 4 * half .. + 3 of Q4_K and Q5_K: eight 6-bit pairs in 12 bytes, the later four split.
inline __m256 k_scales(const Byte* super, int half) {
  const auto s = load_as<std::uint32_t>(super + 4);
  const auto m = load_as<std::uint32_t>(super + 8);
  const auto x = load_as<std::uint32_t>(super + 12);
  const std::uint32_t scales = half == 0 ? s & 0x3f3f3f3fu : (x & 0x0f0f0f0fu) | ((s >> 2) & 0x30303030u);
  const std::uint32_t mins = half == 0 ? m & 0x3f3f3f3fu : ((x >> 4) & 0x0f0f0f0fu) | ((m >> 2) & 0x30303030u);
  const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(scales | static_cast<std::uint64_t>(mins) << 32));
  const __m256 d = join(_mm_set1_ps(half_at(super)), _mm_set1_ps(-half_at(super + 2)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)), d);
}

// The nibbles of sub-blocks: each 32 bytes hold one sub-block in the low nibbles and the next in the high ones.
template <class S>
inline void load_k_nibbles(const Byte* p, GroupWeights<S>& out) {
  out.low = S::low_bits(S::shift_right_each(S::chunks(p, p, p + 32, p + 32), 0, 4, 0, 4), 0x0f);
  out.high = S::low_bits(S::shift_right_each(S::chunks(p + 16, p + 16, p + 48, p + 48), 0, 4, 0, 4), 0x0f);
}

// kHalves: a scale for each 16 values. kSigned: the stored integers stay signed. kMinimum: the block has a minimum of its own, to be
// multiplied with ActivationGroup::minimum_sum.
template <class S, DType type>
struct Format;

template <class S>
struct Format<S, DType::kQ4_0> {
  static constexpr int kBytes = 4 * 18;  // of a group
  static constexpr bool kHalves = false, kSigned = false, kMinimum = false;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* p = row + group * kBytes;
    load_nibbles<S>(p + 2, 18, out);
    out.scale_min = scales_with_offset(p, 18, -8.0f);
  }
};

template <class S>
struct Format<S, DType::kQ4_1> {
  static constexpr int kBytes = 4 * 20;
  static constexpr bool kHalves = false, kSigned = false, kMinimum = true;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* p = row + group * kBytes;
    load_nibbles<S>(p + 4, 20, out);
    out.scale_min = minimums_with_scale(p, 20);
  }
};

template <class S>
struct Format<S, DType::kQ5_0> {
  static constexpr int kBytes = 4 * 22;
  static constexpr bool kHalves = false, kSigned = false, kMinimum = false;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* p = row + group * kBytes;
    load_nibbles<S>(p + 6, 22, out);
    add_fifth_bits<S>(p + 2, 22, out);
    out.scale_min = scales_with_offset(p, 22, -16.0f);
  }
};

template <class S>
struct Format<S, DType::kQ5_1> {
  static constexpr int kBytes = 4 * 24;
  static constexpr bool kHalves = false, kSigned = false, kMinimum = true;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* p = row + group * kBytes;
    load_nibbles<S>(p + 8, 24, out);
    add_fifth_bits<S>(p + 4, 24, out);
    out.scale_min = minimums_with_scale(p, 24);
  }
};

template <class S>
struct Format<S, DType::kQ8_0> {
  static constexpr int kBytes = 4 * 34;
  static constexpr bool kHalves = false, kSigned = S::kSignedBytes, kMinimum = false;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* p = row + group * kBytes;
    out.low = S::chunks(p + 2, p + 36, p + 70, p + 104);
    out.high = S::chunks(p + 18, p + 52, p + 86, p + 120);
    if constexpr (!kSigned) {
      out.low = S::flip_top_bit(out.low);
      out.high = S::flip_top_bit(out.high);
    }
    out.scale_min = scales_with_offset(p, 34, kSigned ? 0.0f : -128.0f);
  }
};

template <class S>
struct Format<S, DType::kQ4_K> {
  static constexpr int kBytes = 144 / 2;
  static constexpr bool kHalves = false, kSigned = false, kMinimum = false;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* super = row + group / 2 * 144;
    load_k_nibbles<S>(super + 16 + 64 * (group % 2), out);
    out.scale_min = k_scales(super, group % 2);
  }
};

template <class S>
struct Format<S, DType::kQ5_K> {
  static constexpr int kBytes = 176 / 2;
  static constexpr bool kHalves = false, kSigned = false, kMinimum = false;
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* super = row + group / 2 * 176;
    const Byte* bits = super + 16;
    const int s = 4 * (group % 2);
    load_k_nibbles<S>(super + 48 + 64 * (group % 2), out);
    const auto fifth = [&](const Byte* p) {
      return S::template shift_left<4>(S::low_bits(S::shift_right_each(S::chunks(p, p, p, p), s, s + 1, s + 2, s + 3), 0x01));
    };
    out.low = S::or_(out.low, fifth(bits));
    out.high = S::or_(out.high, fifth(bits + 16));
    out.scale_min = k_scales(super, group % 2);
  }
};

template <class S>
struct Format<S, DType::kQ6_K> {
  static constexpr int kBytes = 210 / 2;
  static constexpr bool kHalves = true, kSigned = false, kMinimum = false;
  static typename S::I six_bits(const Byte* low, const Byte* high) {
    const auto nibbles = S::low_bits(S::shift_right_each(S::chunks(low, low + 32, low, low + 32), 0, 0, 4, 4), 0x0f);
    const auto pairs = S::low_bits(S::shift_right_each(S::chunks(high, high, high, high), 0, 2, 4, 6), 0x03);
    return S::or_(nibbles, S::template shift_left<4>(pairs));
  }
  static void load(const Byte* row, int group, GroupWeights<S>& out) {
    const Byte* super = row + group / 2 * 210;
    const Byte* low = super + 64 * (group % 2);
    const Byte* high = super + 128 + 32 * (group % 2);
    out.low = six_bits(low, high);
    out.high = six_bits(low + 16, high + 16);
    // Eight scales, lower and upper half of each block in turn.
    const __m256i scales = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(load_as<long long>(super + 192 + 8 * (group % 2))));
    const __m256i sorted = _mm256_permutevar8x32_epi32(scales, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
    const __m256 d = _mm256_mul_ps(_mm256_cvtepi32_ps(sorted), _mm256_set1_ps(half_at(super + 208)));
    out.scale_min = join(_mm256_castps256_ps128(d), _mm_mul_ps(_mm256_castps256_ps128(d), _mm_set1_ps(-32.0f)));
    out.scale_high = _mm256_extractf128_ps(d, 1);
  }
};

// The group that a row ends with, where only `blocks` of four are there. Reading on into the next rows is harmless when the scales
// are then cleared; at the end of the tile (perhaps of the mapped file) the blocks are copied first.
template <class S, class Fmt>
inline void load_tail(const Byte* row, int group, int blocks, const Byte* end, GroupWeights<S>& out) {
  const Byte* p = row + group * Fmt::kBytes;
  if (end - p >= Fmt::kBytes) {
    Fmt::load(p, 0, out);
  } else {
    alignas(64) Byte copy[Fmt::kBytes] = {};
    __builtin_memcpy(copy, p, static_cast<std::size_t>(Fmt::kBytes / 4 * blocks));
    Fmt::load(copy, 0, out);
  }
  const __m128i there = _mm_cmpgt_epi32(_mm_set1_epi32(blocks), _mm_setr_epi32(0, 1, 2, 3));
  out.scale_min = _mm256_and_ps(out.scale_min, _mm256_castsi256_ps(_mm256_set_m128i(there, there)));
}

}  // namespace
}  // namespace stoa::models

#endif
