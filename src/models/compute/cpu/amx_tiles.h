// The instructions of AMX, as text: GCC 12 forgets what its intrinsics read. Every tile has 16 rows of 64 bytes. How they are used: tiles 0
// to 3 are sums, 4 and 5 are left operands (rows by pairs), 6 and 7 right ones (pairs by columns).
#pragma once

#include "models/compute/cpu/simd_avx512.h"

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

namespace stoa::models {
namespace {

inline constexpr int kTileBytes = 1024;
inline constexpr std::int64_t kDense = 64;  // bytes from row to row where a tile is stored by itself

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
inline constexpr TileConfig kTileConfig;

// Tiles can be used while one of these lives. Letting them go spares the system saving them with every change of threads.
class TileScope {
 public:
  TileScope() { asm volatile("ldtilecfg %0" : : "m"(kTileConfig) : "memory"); }
  ~TileScope() { asm volatile("tilerelease" : : : "memory"); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

template <int kTile>
inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(kTile));
}

// At p + kOffset, rows `stride` bytes apart.
template <int kTile, int kOffset = 0>
inline void load_tile(const void* p, std::int64_t stride = kDense) {
  asm volatile("tileloadd %c3(%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(kTile), "i"(kOffset) : "memory");
}

// With the hint that it need not stay in the first cache.
template <int kTile, int kOffset = 0>
inline void load_passing_tile(const void* p) {
  asm volatile("tileloaddt1 %c3(%0,%1,1), %%tmm%c2" : : "r"(p), "r"(kDense), "i"(kTile), "i"(kOffset) : "memory");
}

template <int kTile, int kOffset = 0>
inline void store_tile(void* p, std::int64_t stride = kDense) {
  asm volatile("tilestored %%tmm%c2, %c3(%0,%1,1)" : : "r"(p), "r"(stride), "i"(kTile), "i"(kOffset) : "memory");
}

template <int kSums, int kLeft, int kRight>
inline void multiply_tiles() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(kSums), "i"(kLeft), "i"(kRight));
}

// 32 numbers in order, rounded to bfloat16.
inline __m512i to_bf16(__m512 low, __m512 high) { return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)); }

// The first and the second sixteen of 32 halves as pairs: what a row of a right operand is.
inline __m512i paired(__m512i halves) {
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i order = _mm512_or_si512(first, _mm512_slli_epi32(_mm512_add_epi32(first, _mm512_set1_epi32(16)), 16));
  return _mm512_permutexvar_epi16(order, halves);
}

// What rounding took from 32 numbers, rounded in turn.
inline __m512i rest_of(__m512 low, __m512 high, __m512i rounded) {
  const __m512i even = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(rounded)), 16);
  const __m512i odd = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(rounded, 1)), 16);
  return to_bf16(_mm512_sub_ps(low, _mm512_castsi512_ps(even)), _mm512_sub_ps(high, _mm512_castsi512_ps(odd)));
}

}  // namespace
}  // namespace stoa::models

#endif
