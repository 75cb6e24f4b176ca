// Block formats as packed weights (packed_weights.h) loaded into registers, for simd_packed.h. A block of 32 values of sixteen rows becomes
// eight vectors of bytes, vector i with values 4 i .. 4 i + 3 of every row, and vectors of floats with a lane for each row.
//
// The dot product instructions want one unsigned operand, so formats with offset or signed integers are brought to unsigned ones. Where
// S takes all eight bits (kWide) they are also shifted up until their offset is 128, whatever the format, which is the one that
// ActivationGroup::offset is for; otherwise that is shifted down.
#pragma once

#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/simd_avx2.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

using Byte = std::uint8_t;

// The factors of a block. `min` is multiplied with the sum of the activations, or with minimum_sum for kOwn.
template <class S>
struct Factors {
  typename S::F scale;
  typename S::F min;
  typename S::F scale_high;  // of the upper sixteen values, where they have one of their own
};

enum class Minimum : std::uint8_t {
  kNone,    // integers stay signed
  kOffset,  // the same for all blocks
  kShared,  // each sub-block has its own, multiplied with the sum
  kOwn,     // multiplied with minimum_sum
};

// How far 128 is above the offset of a format whose integers are shifted up by `lift`.
constexpr int down_to(int offset, int lift) { return offset << lift == kOffset ? 0 : 1 + down_to(2 * offset, lift); }

// Half-precision numbers of sixteen rows, times a power of two.
template <class S>
inline typename S::F scaled_halves(const Byte* p, float factor) {
  return S::mul(S::load_f16(p), S::set1(factor));
}

// Vector i of nibbles at p, four vectors with values 0-15 in their low nibbles and 16-31 in the high ones; shifted up by `lift`.
template <class S, int lift>
inline typename S::I nibbles(const Byte* p, int i) {
  const auto v = S::iload(p + 64 * (i % 4));
  return i < 4 ? S::template place<lift>(v, 0x0f << lift) : S::template place<lift - 4>(v, 0x0f << lift);
}

// With bit i of `bits` as bit 4 + lift.
template <class S, int lift>
inline typename S::I with_fifth_bit(typename S::I w, typename S::I bits, int i) {
  return S::insert(w, S::shift(bits, 4 + lift - i), 1 << (4 + lift));
}

// kBytes of sixteen blocks of kSubs * 32 values of kBits; kHalves: a scale for each 16 values. `kSub` and `part`: which 32 of them, 128 part + 32 kSub.
template <class S, DType type>
struct Format;

template <class S>
struct Format<S, DType::kQ8_0> {
  static constexpr int kBits = 8, kBytes = 16 * 34, kSubs = 1;
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = S::kWide ? Minimum::kOffset : Minimum::kNone;
  static constexpr int kDown = 0;
  template <int>
  static typename S::I weights(const Byte* p, int, int i) {
    const auto v = S::iload(p + 32 + 64 * i);
    if constexpr (S::kWide) return S::flip_top_bit(v);
    return v;
  }
  template <int>
  static void factors(const Byte* p, int, Factors<S>& out) { out.scale = S::load_f16(p); }
};

template <class S>
struct Format<S, DType::kQ4_0> {
  static constexpr int kBits = 4, kBytes = 16 * 18, kSubs = 1, kLift = S::kWide ? 4 : 0, kDown = down_to(8, kLift);
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  template <int>
  static typename S::I weights(const Byte* p, int, int i) { return nibbles<S, kLift>(p + 32, i); }
  template <int>
  static void factors(const Byte* p, int, Factors<S>& out) {
    out.scale = scaled_halves<S>(p, 1.0f / (1 << kLift));
  }
};

template <class S>
struct Format<S, DType::kQ4_1> {
  static constexpr int kBits = 4, kBytes = 16 * 20, kSubs = 1;
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kOwn;
  template <int>
  static typename S::I weights(const Byte* p, int, int i) { return nibbles<S, 0>(p + 64, i); }
  template <int>
  static void factors(const Byte* p, int, Factors<S>& out) {
    out.scale = S::load_f16(p);
    out.min = S::load_f16(p + 32);
  }
};

template <class S>
struct Format<S, DType::kQ5_0> {
  static constexpr int kBits = 5, kBytes = 16 * 22, kSubs = 1, kLift = S::kWide ? 3 : 0, kDown = down_to(16, kLift);
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  template <int>
  static typename S::I weights(const Byte* p, int, int i) {
    return with_fifth_bit<S, kLift>(nibbles<S, kLift>(p + 96, i), S::iload(p + 32), i);
  }
  template <int>
  static void factors(const Byte* p, int, Factors<S>& out) {
    out.scale = scaled_halves<S>(p, 1.0f / (1 << kLift));
  }
};

template <class S>
struct Format<S, DType::kQ5_1> {
  static constexpr int kBits = 5, kBytes = 16 * 24, kSubs = 1;
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kOwn;
  template <int>
  static typename S::I weights(const Byte* p, int, int i) {
    return with_fifth_bit<S, 0>(nibbles<S, 0>(p + 128, i), S::iload(p + 64), i);
  }
  template <int>
  static void factors(const Byte* p, int, Factors<S>& out) {
    out.scale = S::load_f16(p);
    out.min = S::load_f16(p + 32);
  }
};

// Scales and minimums of a sub-block of Q4_K and Q5_K for sixteen rows: d, dmin, then twelve vectors of sixteen bytes with eight 6-bit
// pairs, the later four split.
template <class S, int kSub>
inline void k_factors(const Byte* p, int part, Factors<S>& out) {
  const auto at = [bytes = p + 64](int i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * i)); };
  const auto bits = [](__m128i v, int right, char mask) { return _mm_and_si128(_mm_srli_epi16(v, right), _mm_set1_epi8(mask)); };
  __m128i scale, min;
  if (part == 0) {
    scale = bits(at(kSub), 0, 0x3f);
    min = bits(at(kSub + 4), 0, 0x3f);
  } else {
    scale = _mm_or_si128(bits(at(kSub + 8), 0, 0x0f), bits(at(kSub), 2, 0x30));
    min = _mm_or_si128(bits(at(kSub + 8), 4, 0x0f), bits(at(kSub + 4), 2, 0x30));
  }
  out.scale = S::mul(S::from_i8(scale), S::load_f16(p));
  out.min = S::mul(S::from_i8(min), scaled_halves<S>(p + 32, -1.0f));
}

// Vector i of a sub-block of K formats: of each eight vectors the low nibbles are one sub-block, the high ones the next.
template <class S, int kSub>
inline typename S::I k_nibbles(const Byte* p, int part, int i) {
  return S::template place<-4 * (kSub % 2)>(S::iload(p + 1024 * part + 512 * (kSub / 2) + 64 * i), 0x0f);
}

template <class S>
struct Format<S, DType::kQ4_K> {
  static constexpr int kBits = 4, kBytes = 16 * 144, kSubs = 8;
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kShared;
  template <int kSub>
  static typename S::I weights(const Byte* p, int part, int i) { return k_nibbles<S, kSub>(p + 256, part, i); }
  template <int kSub>
  static void factors(const Byte* p, int part, Factors<S>& out) { k_factors<S, kSub>(p, part, out); }
};

template <class S>
struct Format<S, DType::kQ5_K> {
  static constexpr int kBits = 5, kBytes = 16 * 176, kSubs = 8;
  static constexpr bool kHalves = false;
  static constexpr Minimum kMinimum = Minimum::kShared;
  template <int kSub>
  static typename S::I weights(const Byte* p, int part, int i) {
    return S::insert(k_nibbles<S, kSub>(p + 768, part, i), S::rotate(S::iload(p + 256 + 64 * i), 4 - kSub - 4 * part), 0x10);
  }
  template <int kSub>
  static void factors(const Byte* p, int part, Factors<S>& out) { k_factors<S, kSub>(p, part, out); }
};

// The six bits of Q6_K: of each 128 values the low nibbles of 64 bytes are sub-blocks 0 and 1, their high nibbles 2 and 3, and bit pair j of
// 32 bytes is that of sub-block j.
template <class S>
struct Format<S, DType::kQ6_K> {
  static constexpr int kBits = 6, kBytes = 16 * 210, kSubs = 8, kLift = S::kWide ? 2 : 0, kDown = down_to(32, kLift);
  static constexpr bool kHalves = true;
  static constexpr Minimum kMinimum = Minimum::kOffset;
  template <int kSub>
  static typename S::I weights(const Byte* p, int part, int i) {
    const auto low = S::iload(p + 1312 + 1024 * part + 512 * (kSub % 2) + 64 * i);
    const auto pairs = S::iload(p + 288 + 512 * part + 64 * i);
    return S::insert(S::template place<kLift - 4 * (kSub / 2)>(low, 0x0f << kLift), S::shift(pairs, 4 + kLift - 2 * kSub), 0x30 << kLift);
  }
  template <int kSub>
  static void factors(const Byte* p, int part, Factors<S>& out) {
    const auto scales = reinterpret_cast<const __m128i*>(p + 32 + 128 * part + 32 * kSub);
    const auto d = scaled_halves<S>(p, 1.0f / (1 << kLift));
    out.scale = S::mul(S::from_i8(_mm_loadu_si128(scales)), d);
    out.scale_high = S::mul(S::from_i8(_mm_loadu_si128(scales + 1)), d);
  }
};

}  // namespace
}  // namespace stoa::models

#endif
