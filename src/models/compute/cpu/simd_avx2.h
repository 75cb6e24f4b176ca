// The vector type that the kernels of simd_*.h are written for, over AVX2: sixteen floats or sixty-four bytes as two registers.
// simd_avx512.h has the same operations over one register.
//
// Both headers and everything that uses them live in an unnamed namespace and call nothing from the standard library: an inline
// function of the library compiled in these files with their instruction sets could be the copy that the linker keeps for the
// whole program, which would then fail on lesser processors.
#pragma once

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace stoa::models {
namespace {

// Unaligned loads of the integers in weight blocks.
template <class T>
inline T load_as(const void* p) {
  T value;
  __builtin_memcpy(&value, p, sizeof value);
  return value;
}

// Four half-precision numbers, packed low to high in a word.
inline __m128 four_halves(std::uint64_t bits) { return _mm_cvtph_ps(_mm_cvtsi64_si128(static_cast<long long>(bits))); }
inline float half_at(const void* p) { return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(load_as<std::uint16_t>(p)))); }

inline float sum4(__m128 v) {
  v = _mm_add_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
}
inline float max4(__m128 v) {
  v = _mm_max_ps(v, _mm_movehl_ps(v, v));
  return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
}

struct Avx2 {
  struct F { __m256 a, b; };
  struct I { __m256i a, b; };

  static constexpr int kColumnTile = 4;     // rows of x that share a pass over block formats
  static constexpr int kFloatTile = 4;      // and over F32, F16 and BF16
  static constexpr int kAttentionTile = 2;  // query rows that share a pass over K and V
  static constexpr int kAttentionSums = 4;  // their running sums in registers
  static constexpr bool kWide = false;      // whether the unsigned bytes of `dot` may go up to 255 (else 63)

  static F set1(float x) { return {_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
  static F zero() { return set1(0.0f); }
  static F load(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static void store(float* p, F v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps(p + 8, v.b);
  }
  static __m256i mask8(int n) { return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)); }
  // The first n of sixteen; the others are zero, or not stored.
  static F load_n(const float* p, int n) { return {_mm256_maskload_ps(p, mask8(n)), n > 8 ? _mm256_maskload_ps(p + 8, mask8(n - 8)) : _mm256_setzero_ps()}; }
  static void store_n(float* p, F v, int n) {
    _mm256_maskstore_ps(p, mask8(n), v.a);
    if (n > 8) _mm256_maskstore_ps(p + 8, mask8(n - 8), v.b);
  }
  // Lanes begin <= i < end from v, the others from other.
  static F select_range(F v, F other, int begin, int end) {
    const __m256i low = _mm256_andnot_si256(mask8(begin), mask8(end));
    const __m256i high = _mm256_andnot_si256(mask8(begin - 8), mask8(end - 8));
    return {_mm256_blendv_ps(other.a, v.a, _mm256_castsi256_ps(low)), _mm256_blendv_ps(other.b, v.b, _mm256_castsi256_ps(high))};
  }
  static F load_f16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return {_mm256_cvtph_ps(_mm_loadu_si128(h)), _mm256_cvtph_ps(_mm_loadu_si128(h + 1))};
  }
  static void store_f16(void* p, F v) {
    auto* h = static_cast<__m128i*>(p);
    _mm_storeu_si128(h, _mm256_cvtps_ph(v.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128(h + 1, _mm256_cvtps_ph(v.b, _MM_FROUND_TO_NEAREST_INT));
  }
  // Rounded to bfloat16: to nearest even; NaN gets a bit that survives.
  static void store_bf16(void* p, F v) {
    const auto rounded = [](__m256 f) {
      const __m256i bits = _mm256_castps_si256(f);
      const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
      const __m256i near = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
      const __m256i nan = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
      const __m256i chosen = _mm256_blendv_epi8(near, nan, _mm256_castps_si256(_mm256_cmp_ps(f, f, _CMP_UNORD_Q)));
      return _mm256_srli_epi32(chosen, 16);
    };
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded(v.a), rounded(v.b)), 0xd8));
  }
  // Sixteen floats rounded to the nearest integers in -128..127.
  static void store_i8(void* p, F v) {
    const __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(v.a), _mm256_cvtps_epi32(v.b));
    const __m256i sorted = _mm256_permute4x64_epi64(words, 0xd8);
    _mm_storeu_si128(static_cast<__m128i*>(p), _mm_packs_epi16(_mm256_castsi256_si128(sorted), _mm256_extracti128_si256(sorted, 1)));
  }
  static F add(F x, F y) { return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)}; }
  static F sub(F x, F y) { return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)}; }
  static F mul(F x, F y) { return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)}; }
  static F div(F x, F y) { return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)}; }
  static F max(F x, F y) { return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)}; }
  static F min(F x, F y) { return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)}; }
  static F fma(F x, F y, F z) { return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)}; }
  static F abs(F x) {
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
  }
  static F copy_sign(F magnitude, F sign) {
    const __m256 bit = _mm256_set1_ps(-0.0f);
    return {_mm256_or_ps(magnitude.a, _mm256_and_ps(bit, sign.a)), _mm256_or_ps(magnitude.b, _mm256_and_ps(bit, sign.b))};
  }
  static F round(F x) {
    constexpr int kMode = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
    return {_mm256_round_ps(x.a, kMode), _mm256_round_ps(x.b, kMode)};
  }
  // x * 2^n for whole n in -126..127.
  static F scale2(F x, F n) {
    const auto power = [](__m256 e) {
      return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(e), _mm256_set1_epi32(127)), 23));
    };
    return {_mm256_mul_ps(x.a, power(n.a)), _mm256_mul_ps(x.b, power(n.b))};
  }
  // Zero where x < limit, else y.
  static F zero_if_less(F x, F limit, F y) {
    return {_mm256_and_ps(_mm256_cmp_ps(x.a, limit.a, _CMP_NLT_UQ), y.a), _mm256_and_ps(_mm256_cmp_ps(x.b, limit.b, _CMP_NLT_UQ), y.b)};
  }
  static float reduce_add(F v) {
    const __m256 s = _mm256_add_ps(v.a, v.b);
    return sum4(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  static float reduce_max(F v) {
    const __m256 s = _mm256_max_ps(v.a, v.b);
    return max4(_mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  // Pairs (even, odd): swaps neighbours; duplicates each of eight; keeps even lanes of x and odd lanes of y.
  static F swap_pairs(F v) { return {_mm256_permute_ps(v.a, 0xb1), _mm256_permute_ps(v.b, 0xb1)}; }
  static F twice_each(const float* p) {
    const __m256 v = _mm256_loadu_ps(p);
    return {_mm256_permutevar8x32_ps(v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3)),
            _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7))};
  }
  static F add_sub(F x, F y) { return {_mm256_addsub_ps(x.a, y.a), _mm256_addsub_ps(x.b, y.b)}; }

  // Bytes.
  static I izero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static I iload(const void* p) { return {_mm256_loadu_si256(static_cast<const __m256i*>(p)), _mm256_loadu_si256(static_cast<const __m256i*>(p) + 1)}; }
  static void istore(void* p, I v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), v.a);
    _mm256_storeu_si256(static_cast<__m256i*>(p) + 1, v.b);
  }
  static I four_bytes(const void* p) {
    const __m256i v = _mm256_set1_epi32(load_as<std::int32_t>(p));
    return {v, v};
  }
  static I low_bits(I v, char mask) {
    const __m256i m = _mm256_set1_epi8(mask);
    return {_mm256_and_si256(v.a, m), _mm256_and_si256(v.b, m)};
  }
  static I or_(I x, I y) { return {_mm256_or_si256(x.a, y.a), _mm256_or_si256(x.b, y.b)}; }
  static I flip_top_bit(I v) {
    const __m256i m = _mm256_set1_epi8(static_cast<char>(0x80));
    return {_mm256_xor_si256(v.a, m), _mm256_xor_si256(v.b, m)};
  }
  // Bits of v shifted by n (up if positive), then masked, so that nothing crosses from one byte to another.
  template <int n>
  static I place(I v, int mask) {
    if constexpr (n > 0) return low_bits({_mm256_slli_epi16(v.a, n), _mm256_slli_epi16(v.b, n)}, static_cast<char>(mask));
    if constexpr (n < 0) return low_bits({_mm256_srli_epi16(v.a, -n), _mm256_srli_epi16(v.b, -n)}, static_cast<char>(mask));
    return low_bits(v, static_cast<char>(mask));
  }
  // Every byte shifted by n (up if positive); what comes in from its neighbours is to be masked. `shift` is for constants.
  static I shift(I v, int n) {
    using U = std::uint32_t __attribute__((vector_size(32)));
    const auto each = [n](__m256i x) { return n >= 0 ? (__m256i)((U)x << n) : (__m256i)((U)x >> -n); };
    return {each(v.a), each(v.b)};
  }
  static I rotate(I v, int n) {
    const __m128i up = _mm_cvtsi32_si128(n > 0 ? n : 0), down = _mm_cvtsi32_si128(n < 0 ? -n : 0);
    return {_mm256_srl_epi32(_mm256_sll_epi32(v.a, up), down), _mm256_srl_epi32(_mm256_sll_epi32(v.b, up), down)};
  }
  static I isub(I x, I y) { return {_mm256_sub_epi32(x.a, y.a), _mm256_sub_epi32(x.b, y.b)}; }
  // An integer shifted down, for all lanes.
  template <int down>
  static I offset(const void* p) {
    const __m256i v = _mm256_srai_epi32(_mm256_set1_epi32(load_as<std::int32_t>(p)), down);
    return {v, v};
  }
  // v with the bits of `from` under the mask.
  static I insert(I v, I from, int mask) { return or_(v, low_bits(from, static_cast<char>(mask))); }
  // acc + sums of four neighbouring products. Unsigned weights are at most 63, so that the 16-bit sums of pairs cannot saturate. Signed
  // weights: |w| times x with w's sign; x is never -128, so the pairs stay below 2^15.
  template <bool kSigned>
  static I dot(I acc, I w, I x) {
    if constexpr (kSigned) {
      x = {_mm256_sign_epi8(x.a, w.a), _mm256_sign_epi8(x.b, w.b)};
      w = {_mm256_abs_epi8(w.a), _mm256_abs_epi8(w.b)};
    }
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, x.a), ones)),
            _mm256_add_epi32(acc.b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, x.b), ones))};
  }
  // acc + the sums of `n` vectors of weights times four bytes each from p on. n times the largest sum of a pair must stay below 2^15.
  template <int n>
  static I dot_together(I acc, const I* w, const void* p) {
    I sums = izero();
#pragma GCC unroll 4
    for (int j = 0; j < n; ++j) {
      const I x = four_bytes(static_cast<const char*>(p) + 4 * j);
      const I pairs = {_mm256_maddubs_epi16(w[j].a, x.a), _mm256_maddubs_epi16(w[j].b, x.b)};
      sums = j == 0 ? pairs : I{_mm256_add_epi16(sums.a, pairs.a), _mm256_add_epi16(sums.b, pairs.b)};
    }
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(sums.a, ones)), _mm256_add_epi32(acc.b, _mm256_madd_epi16(sums.b, ones))};
  }
  // acc + sums of two neighbouring products of bfloat16 numbers.
  static F dot_bf16(F acc, I w, I x) {
    const auto even = [](I v) { return F{_mm256_castsi256_ps(_mm256_slli_epi32(v.a, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(v.b, 16))}; };
    const auto odd = [](I v) {
      const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
      return F{_mm256_castsi256_ps(_mm256_and_si256(v.a, high)), _mm256_castsi256_ps(_mm256_and_si256(v.b, high))};
    };
    return fma(odd(w), odd(x), fma(even(w), even(x), acc));
  }
  static F to_float(I v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
  static F from_i8(__m128i v) { return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(v)), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)))}; }
};

}  // namespace
}  // namespace stoa::models

#endif
