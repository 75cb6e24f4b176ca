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

// Eight rows of eight 32-bit values, transposed in place.
inline void transpose8(__m256i v[8]) {
  __m256i a[8];
#pragma GCC unroll 8
  for (int i = 0; i < 4; ++i) {
    a[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
    a[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
  }
  __m256i b[8];
  for (int i = 0; i < 2; ++i) {
    b[4 * i] = _mm256_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 1] = _mm256_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 2] = _mm256_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
    b[4 * i + 3] = _mm256_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
    v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
  }
}

struct Avx2 {
  struct F { __m256 a, b; };
  struct I { __m256i a, b; };

  static constexpr int kColumnTile = 2;     // rows of x that share a pass over unpacked weights
  static constexpr int kFloatRows = 2;      // float product: weight rows by rows of x
  static constexpr int kFloatColumns = 2;
  static constexpr int kAttentionTile = 2;  // query rows by vectors of V
  static constexpr int kValueTile = 2;
  static constexpr bool kSignedBytes = true;  // Q8_0 weights stay signed; see dot_signed

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
  static F load_bf16(const void* p) {
    const auto* h = static_cast<const __m128i*>(p);
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(h)), 16)),
            _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(h + 1)), 16))};
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
  static I chunks(const void* p0, const void* p1, const void* p2, const void* p3) {
    return {_mm256_loadu2_m128i(static_cast<const __m128i*>(p1), static_cast<const __m128i*>(p0)),
            _mm256_loadu2_m128i(static_cast<const __m128i*>(p3), static_cast<const __m128i*>(p2))};
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
  template <int n>
  static I shift_right(I v) { return {_mm256_srli_epi16(v.a, n), _mm256_srli_epi16(v.b, n)}; }
  template <int n>
  static I shift_left(I v) { return {_mm256_slli_epi16(v.a, n), _mm256_slli_epi16(v.b, n)}; }
  // Each 16-byte chunk by its own count, in 32-bit units.
  static I shift_right_each(I v, int n0, int n1, int n2, int n3) {
    return {_mm256_srlv_epi32(v.a, _mm256_setr_epi32(n0, n0, n0, n0, n1, n1, n1, n1)),
            _mm256_srlv_epi32(v.b, _mm256_setr_epi32(n2, n2, n2, n2, n3, n3, n3, n3))};
  }
  // 0x10 in the bytes whose bit is set.
  static I sixteen_where(std::uint64_t bits) {
    const auto expand = [](std::uint32_t b) {
      const __m256i select = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
      const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201ULL));
      const __m256i spread = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(b)), select), bit);
      return _mm256_and_si256(_mm256_cmpeq_epi8(spread, bit), _mm256_set1_epi8(0x10));
    };
    return {expand(static_cast<std::uint32_t>(bits)), expand(static_cast<std::uint32_t>(bits >> 32))};
  }
  // acc + sums of four neighbouring products. Unsigned weights are at most 63, so that the 16-bit sums of pairs cannot saturate.
  static I dot_unsigned(I acc, I w, I x) {
    const __m256i ones = _mm256_set1_epi16(1);
    return {_mm256_add_epi32(acc.a, _mm256_madd_epi16(_mm256_maddubs_epi16(w.a, x.a), ones)),
            _mm256_add_epi32(acc.b, _mm256_madd_epi16(_mm256_maddubs_epi16(w.b, x.b), ones))};
  }
  // Signed weights: |w| times x with w's sign; x is never -128, so the pairs stay below 2^15.
  static I dot_signed(I acc, I w, I x) {
    return dot_unsigned(acc, {_mm256_abs_epi8(w.a), _mm256_abs_epi8(w.b)}, {_mm256_sign_epi8(x.a, w.a), _mm256_sign_epi8(x.b, w.b)});
  }
  static F to_float(I v) { return {_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }
  // Four floats, each in the four lanes of its chunk.
  static F spread(__m128 v) {
    const __m256 d = _mm256_castps128_ps256(v);
    return {_mm256_permutevar8x32_ps(d, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1)), _mm256_permutevar8x32_ps(d, _mm256_setr_epi32(2, 2, 2, 2, 3, 3, 3, 3))};
  }
  // The upper four of eight.
  static F spread_high(__m256 v) {
    return {_mm256_permutevar8x32_ps(v, _mm256_setr_epi32(4, 4, 4, 4, 5, 5, 5, 5)), _mm256_permutevar8x32_ps(v, _mm256_setr_epi32(6, 6, 6, 6, 7, 7, 7, 7))};
  }
  // Sixteen rows of sixteen 32-bit values, transposed in place.
  static void transpose16(I v[16]) {
    __m256i q[4][8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      q[0][i] = v[i].a;
      q[1][i] = v[i].b;
      q[2][i] = v[i + 8].a;
      q[3][i] = v[i + 8].b;
    }
#pragma GCC unroll 4
    for (auto& part : q) transpose8(part);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      v[i] = {q[0][i], q[2][i]};
      v[i + 8] = {q[1][i], q[3][i]};
    }
  }
};

}  // namespace
}  // namespace stoa::models

#endif
