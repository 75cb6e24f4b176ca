// The vector type of simd_avx2.h over AVX-512 (F, BW, VL, DQ, VNNI): sixteen floats or sixty-four bytes in one register. What each
// operation means is written there, and why nothing here may have external linkage.
#pragma once

#include "models/compute/cpu/simd_avx2.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__) && defined(__AVX512VNNI__)

namespace stoa::models {
namespace {

struct Avx512 {
  using F = __m512;
  using I = __m512i;

  static constexpr int kColumnTile = 12;
  static constexpr int kFloatTile = 8;
  static constexpr int kAttentionTile = 8;
  static constexpr int kAttentionSums = 24;
  static constexpr bool kWide = true;

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
  static void store_bf16(void* p, F v) {
    const I bits = _mm512_castps_si512(v);
    const I odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const I near = _mm512_add_epi32(_mm512_add_epi32(bits, odd), _mm512_set1_epi32(0x7fff));
    const I chosen = _mm512_mask_or_epi32(near, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), bits, _mm512_set1_epi32(0x400000));
    _mm256_storeu_si256(static_cast<__m256i*>(p), _mm512_cvtepi32_epi16(_mm512_srli_epi32(chosen, 16)));
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
  static I low_bits(I v, char mask) { return _mm512_and_si512(v, _mm512_set1_epi8(mask)); }
  static I or_(I x, I y) { return _mm512_or_si512(x, y); }
  static I flip_top_bit(I v) { return _mm512_xor_si512(v, _mm512_set1_epi8(static_cast<char>(0x80))); }
  template <int n>
  static I place(I v, int mask) {
    if constexpr (n > 0) return low_bits(_mm512_slli_epi16(v, n), static_cast<char>(mask));
    if constexpr (n < 0) return low_bits(_mm512_srli_epi16(v, -n), static_cast<char>(mask));
    return low_bits(v, static_cast<char>(mask));
  }
  static I shift(I v, int n) {
    using U = std::uint32_t __attribute__((vector_size(64)));
    return n >= 0 ? (I)((U)v << n) : (I)((U)v >> -n);
  }
  static I rotate(I v, int n) { return _mm512_rolv_epi32(v, _mm512_set1_epi32(n & 31)); }
  static I isub(I x, I y) { return _mm512_sub_epi32(x, y); }
  template <int down>
  static I offset(const void* p) {
    static_assert(down == 0);
    return four_bytes(p);
  }
  static I insert(I v, I from, int mask) { return _mm512_ternarylogic_epi32(v, from, _mm512_set1_epi8(static_cast<char>(mask)), 0xf8); }
  template <bool kSigned>
  static I dot(I acc, I w, I x) {
    static_assert(!kSigned, "weights are made unsigned");
    return _mm512_dpbusd_epi32(acc, w, x);
  }
  static F dot_bf16(F acc, I w, I x) {
    const I high = _mm512_set1_epi32(static_cast<int>(0xffff0000u));
    const F even = fma(_mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(x, 16)), acc);
    return fma(_mm512_castsi512_ps(_mm512_and_si512(w, high)), _mm512_castsi512_ps(_mm512_and_si512(x, high)), even);
  }
  static F to_float(I v) { return _mm512_cvtepi32_ps(v); }
  static F from_i8(__m128i v) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v)); }
};

}  // namespace
}  // namespace stoa::models

#endif
