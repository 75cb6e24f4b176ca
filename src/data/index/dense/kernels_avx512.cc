#include "data/index/dense/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstring>

namespace stoa::data {

namespace {

constexpr std::size_t kWide = 64;  // bytes of a register; `half` may leave half of one at its end

__m512i low_half(__m512i code) { return _mm512_and_si512(code, _mm512_set1_epi8(15)); }
__m512i high_half(__m512i code) { return _mm512_and_si512(_mm512_srli_epi16(code, 4), _mm512_set1_epi8(15)); }

// The bytes of one step from `bytes`, zero beyond what is left.
__m512i load(const void* bytes, __mmask64 mask) { return _mm512_maskz_loadu_epi8(mask, bytes); }
__mmask64 step_mask(std::size_t left) { return left >= kWide ? ~__mmask64{0} : (__mmask64{1} << left) - 1; }

__m512i add_products(__m512i sums, __m512i code, __m512i query_low, __m512i query_high) {
  return _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(sums, low_half(code), query_low), high_half(code), query_high);
}

__m256i fold(__m512i sums) { return _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1)); }

// The totals of four registers at once, which takes half the steps of four totals.
__m128i totals(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m256i sums = _mm256_hadd_epi32(_mm256_hadd_epi32(fold(a), fold(b)), _mm256_hadd_epi32(fold(c), fold(d)));
  return _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
}

void score_four(const std::int8_t* query, std::size_t half, const std::uint8_t* const* codes, std::int32_t* sums) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (std::size_t j = 0; j < half; j += kWide) {
    const __mmask64 mask = step_mask(half - j);
    const __m512i low = load(query + j, mask), high = load(query + half + j, mask);
    a = add_products(a, load(codes[0] + j, mask), low, high);
    b = add_products(b, load(codes[1] + j, mask), low, high);
    c = add_products(c, load(codes[2] + j, mask), low, high);
    d = add_products(d, load(codes[3] + j, mask), low, high);
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), totals(a, b, c, d));
}

std::int32_t score_one(const std::int8_t* query, std::size_t half, const std::uint8_t* code) {
  __m512i sums = _mm512_setzero_si512();
  for (std::size_t j = 0; j < half; j += kWide) {
    const __mmask64 mask = step_mask(half - j);
    sums = add_products(sums, load(code + j, mask), load(query + j, mask), load(query + half + j, mask));
  }
  return _mm512_reduce_add_epi32(sums);
}

void score(const std::int8_t* query, std::size_t half, const std::uint8_t* const* codes, std::size_t count, std::int32_t* sums) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) score_four(query, half, codes + i, sums + i);
  for (; i < count; ++i) sums[i] = score_one(query, half, codes[i]);
}

void refine(const std::int8_t* high, const std::int8_t* low, std::size_t half, const std::uint8_t* code, const std::uint8_t* residual, std::int32_t* sums) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a;
  for (std::size_t j = 0; j < half; j += kWide) {
    const __mmask64 mask = step_mask(half - j);
    const __m512i codes = load(code + j, mask), first = load(high + j, mask), second = load(high + half + j, mask);
    a = add_products(a, codes, first, second);
    b = add_products(b, codes, load(low + j, mask), load(low + half + j, mask));
    c = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(c, load(residual + j, mask), first), load(residual + half + j, mask), second);
  }
  alignas(16) std::int32_t four[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(four), totals(a, b, c, c));
  for (int i = 0; i < 3; ++i) sums[i] = four[i];
}

__m512i add_marked(__m512i sums, __m512i query, const std::uint8_t* marks) {
  std::uint64_t mask;
  std::memcpy(&mask, marks, sizeof mask);
  return _mm512_dpbusd_epi32(sums, _mm512_maskz_set1_epi8(mask, 1), query);
}

void sum_marked_four(const std::int8_t* query, std::size_t words, const std::uint8_t* const* marks, std::int32_t* sums) {
  __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
  for (std::size_t at = 0; at < 8 * words; at += 8) {
    const __m512i some = _mm512_loadu_si512(query + 8 * at);
    a = add_marked(a, some, marks[0] + at);
    b = add_marked(b, some, marks[1] + at);
    c = add_marked(c, some, marks[2] + at);
    d = add_marked(d, some, marks[3] + at);
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(sums), totals(a, b, c, d));
}

void sum_marked(const std::int8_t* query, std::size_t words, const std::uint8_t* const* marks, std::size_t count, std::int32_t* sums) {
  std::size_t i = 0;
  for (; i + 4 <= count; i += 4) sum_marked_four(query, words, marks + i, sums + i);
  if (i == count) return;
  const std::uint8_t* last[4];
  std::int32_t four[4];
  for (std::size_t j = 0; j < 4; ++j) last[j] = marks[std::min(i + j, count - 1)];
  sum_marked_four(query, words, last, four);
  std::copy_n(four, count - i, sums + i);
}

std::int32_t pair(const std::uint8_t* a, const std::uint8_t* b, std::size_t half) {
  __m512i sums = _mm512_setzero_si512();
  for (std::size_t j = 0; j < half; j += kWide) {
    const __mmask64 mask = step_mask(half - j);
    const __m512i other = load(b + j, mask);
    sums = add_products(sums, load(a + j, mask), low_half(other), high_half(other));
  }
  return _mm512_reduce_add_epi32(sums);
}

}  // namespace

const CodeKernels& avx512_code_kernels() {
  static constexpr CodeKernels kKernels = {"avx512", score, refine, sum_marked, pair};
  return kKernels;
}

}  // namespace stoa::data
#endif
