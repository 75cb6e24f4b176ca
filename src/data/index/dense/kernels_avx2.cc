#include "data/index/dense/kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include <cstring>

namespace stoa::data {

namespace {

__m256i load(const void* bytes) { return _mm256_loadu_si256(static_cast<const __m256i*>(bytes)); }
__m256i low_half(__m256i code) { return _mm256_and_si256(code, _mm256_set1_epi8(15)); }
__m256i high_half(__m256i code) { return _mm256_and_si256(_mm256_srli_epi16(code, 4), _mm256_set1_epi8(15)); }

// Two products of a code (at most 15) with a signed byte fit 16 bits, and so do two such pairs.
__m256i products(__m256i code, __m256i query_low, __m256i query_high) {
  const __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(low_half(code), query_low), _mm256_maddubs_epi16(high_half(code), query_high));
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Two products of whole bytes may not fit 16 bits, so they are widened before.
__m256i wide_products(__m256i residual, __m256i query) {
  const __m256i low = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_castsi256_si128(residual)), _mm256_cvtepi8_epi16(_mm256_castsi256_si128(query)));
  const __m256i high = _mm256_madd_epi16(_mm256_cvtepu8_epi16(_mm256_extracti128_si256(residual, 1)), _mm256_cvtepi8_epi16(_mm256_extracti128_si256(query, 1)));
  return _mm256_add_epi32(low, high);
}

std::int32_t total(__m256i sums) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xB1)));
}

std::int32_t one_sum(const std::int8_t* query, std::size_t half, const std::uint8_t* code) {
  __m256i sums = _mm256_setzero_si256();
  for (std::size_t j = 0; j < half; j += 32) sums = _mm256_add_epi32(sums, products(load(code + j), load(query + j), load(query + half + j)));
  return total(sums);
}

void score(const std::int8_t* query, std::size_t half, const std::uint8_t* const* codes, std::size_t count, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] = one_sum(query, half, codes[i]);
}

void refine(const std::int8_t* high, const std::int8_t* low, std::size_t half, const std::uint8_t* code, const std::uint8_t* residual, std::int32_t* sums) {
  sums[0] = one_sum(high, half, code);
  sums[1] = one_sum(low, half, code);
  __m256i rest = _mm256_setzero_si256();
  for (std::size_t d = 0; d < 2 * half; d += 32) rest = _mm256_add_epi32(rest, wide_products(load(residual + d), load(high + d)));
  sums[2] = total(rest);
}

// Each bit of a word becomes a byte of a mask: the byte that it lies in is put there, and tested.
std::int32_t one_marked_sum(const std::int8_t* query, std::size_t words, const std::uint8_t* marks) {
  const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303), bits = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  __m256i sums = _mm256_setzero_si256();
  for (std::size_t d = 0; d < 64 * words; d += 32) {
    std::int32_t word;
    std::memcpy(&word, marks + d / 8, sizeof word);
    const __m256i mask = _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(word), spread), bits), bits);
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), _mm256_and_si256(load(query + d), mask));
    sums = _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
  return total(sums);
}

void sum_marked(const std::int8_t* query, std::size_t words, const std::uint8_t* const* marks, std::size_t count, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] = one_marked_sum(query, words, marks[i]);
}

std::int32_t pair(const std::uint8_t* a, const std::uint8_t* b, std::size_t half) {
  __m256i sums = _mm256_setzero_si256();
  for (std::size_t j = 0; j < half; j += 32) {
    const __m256i other = load(b + j);
    sums = _mm256_add_epi32(sums, products(load(a + j), low_half(other), high_half(other)));
  }
  return total(sums);
}

}  // namespace

const CodeKernels& avx2_code_kernels() {
  static constexpr CodeKernels kKernels = {"avx2", score, refine, sum_marked, pair};
  return kKernels;
}

}  // namespace stoa::data
#endif
