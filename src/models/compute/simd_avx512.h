// The vector type of simd_avx2.h over AVX-512 (F, BW, VL, DQ, VNNI): sixteen floats or sixty-four bytes in one register. What each
// operation means is written there, and why nothing here may have external linkage.
#pragma once

#include "models/compute/simd_avx2.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512VNNI__)

namespace stoa::models {
namespace {

struct Avx512 {
  using F = __m512;
  using I = __m512i;

  static constexpr int kColumnTile = 8;
  static constexpr int kFloatRows = 4;
  static constexpr int kFloatColumns = 4;
  static constexpr int kAttentionTile = 6;
  static constexpr int kValueTile = 4;
  static constexpr bool kSignedBytes = false;

  static F set1(float x) { return _mm512_set1_ps(x); }
  static F zero() { return _mm512_setzero_ps(); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F v) { _mm512_storeu_ps(p, v); }
  static __mmask16 first(int n) { return static_cast<__mmask16>(n <= 0 ? 0u : n >= 16 ? 0xffffu : (1u << n) - 1u); }
  static F load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_n(float* p, F v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
  static F select_range(F v, F other, int begin, int end) {
    return _mm512_mask_mov_ps(other, static_cast<__mmask16>(first(end) & ~first(begin)), v);
  }
  static F load_f16(const void* p) { return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p))); }
  static void store_f16(void* p, F v) {
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static F load_bf16(const void* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p))), 16));
  }
  static void store_i8(void* p, F v) { _mm_storeu_si128(static_cast<__m128i*>(p), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v))); }
  static F add(F x, F y) { return _mm512_add_ps(x, y); }
  static F sub(F x, F y) { return _mm512_sub_ps(x, y); }
  static F mul(F x, F y) { return _mm512_mul_ps(x, y); }
  static F div(F x, F y) { return _mm512_div_ps(x, y); }
  static F max(F x, F y) { return _mm512_max_ps(x, y); }
  static F min(F x, F y) { return _mm512_min_ps(x, y); }
  static F fma(F x, F y, F z) { return _mm512_fmadd_ps(x, y, z); }
  static F abs(F x) { return _mm512_abs_ps(x); }
  static F copy_sign(F magnitude, F sign) { return _mm512_or_ps(magnitude, _mm512_and_ps(_mm512_set1_ps(-0.0f), sign)); }
  static F round(F x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F scale2(F x, F n) { return _mm512_scalef_ps(x, n); }
  static F zero_if_less(F x, F limit, F y) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), y); }
  static float reduce_add(F v) {
    const __m256 s = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return sum4(_mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  static float reduce_max(F v) {
    const __m256 s = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    return max4(_mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
  }
  static F swap_pairs(F v) { return _mm512_permute_ps(v, 0xb1); }
  static F twice_each(const float* p) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7), _mm512_castps256_ps512(_mm256_loadu_ps(p)));
  }
  static F add_sub(F x, F y) { return _mm512_mask_sub_ps(_mm512_add_ps(x, y), 0x5555, x, y); }

  static I izero() { return _mm512_setzero_si512(); }
  static I iload(const void* p) { return _mm512_loadu_si512(p); }
  static void istore(void* p, I v) { _mm512_storeu_si512(p, v); }
  static I four_bytes(const void* p) { return _mm512_set1_epi32(load_as<std::int32_t>(p)); }
  static __m128i chunk(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
  static I chunks(const void* p0, const void* p1, const void* p2, const void* p3) {
    I v = _mm512_castsi128_si512(chunk(p0));
    v = _mm512_mask_broadcast_i32x4(v, 0x00f0, chunk(p1));
    v = _mm512_mask_broadcast_i32x4(v, 0x0f00, chunk(p2));
    return _mm512_mask_broadcast_i32x4(v, 0xf000, chunk(p3));
  }
  static I low_bits(I v, char mask) { return _mm512_and_si512(v, _mm512_set1_epi8(mask)); }
  static I or_(I x, I y) { return _mm512_or_si512(x, y); }
  static I flip_top_bit(I v) { return _mm512_xor_si512(v, _mm512_set1_epi8(static_cast<char>(0x80))); }
  template <int n>
  static I shift_right(I v) { return _mm512_srli_epi16(v, n); }
  template <int n>
  static I shift_left(I v) { return _mm512_slli_epi16(v, n); }
  static I shift_right_each(I v, int n0, int n1, int n2, int n3) {
    return _mm512_srlv_epi32(v, _mm512_setr_epi32(n0, n0, n0, n0, n1, n1, n1, n1, n2, n2, n2, n2, n3, n3, n3, n3));
  }
  static I sixteen_where(std::uint64_t bits) { return _mm512_maskz_mov_epi8(bits, _mm512_set1_epi8(0x10)); }
  static I dot_unsigned(I acc, I w, I x) { return _mm512_dpbusd_epi32(acc, w, x); }
  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static F spread(__m128 v) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), _mm512_castps128_ps512(v));
  }
  static F spread_high(__m256 v) {
    return _mm512_permutexvar_ps(_mm512_setr_epi32(4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7), _mm512_castps256_ps512(v));
  }
  static void transpose16(I v[16]) {
    I a[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      a[2 * i] = _mm512_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
      a[2 * i + 1] = _mm512_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
    I b[16];  // b[4g + c]: chunk k holds column 4k + c of rows 4g .. 4g+3
#pragma GCC unroll 8
    for (int g = 0; g < 4; ++g) {
      b[4 * g] = _mm512_unpacklo_epi64(a[4 * g], a[4 * g + 2]);
      b[4 * g + 1] = _mm512_unpackhi_epi64(a[4 * g], a[4 * g + 2]);
      b[4 * g + 2] = _mm512_unpacklo_epi64(a[4 * g + 1], a[4 * g + 3]);
      b[4 * g + 3] = _mm512_unpackhi_epi64(a[4 * g + 1], a[4 * g + 3]);
    }
#pragma GCC unroll 8
    for (int c = 0; c < 4; ++c) {
      const I low = _mm512_shuffle_i32x4(b[c], b[4 + c], 0x44);         // chunks 0 1 of rows 0-3, then of rows 4-7
      const I low2 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0x44);
      const I high = _mm512_shuffle_i32x4(b[c], b[4 + c], 0xee);        // chunks 2 3
      const I high2 = _mm512_shuffle_i32x4(b[8 + c], b[12 + c], 0xee);
      v[c] = _mm512_shuffle_i32x4(low, low2, 0x88);
      v[4 + c] = _mm512_shuffle_i32x4(low, low2, 0xdd);
      v[8 + c] = _mm512_shuffle_i32x4(high, high2, 0x88);
      v[12 + c] = _mm512_shuffle_i32x4(high, high2, 0xdd);
    }
  }
};

}  // namespace
}  // namespace stoa::models

#endif
