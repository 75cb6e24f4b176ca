// The products of attention in tile registers, for F16 keys and values and many rows: see AttentionTile in kernels.h and simd_attention.h.
//
// Scores must be exact to far below one, however large they are, so queries and keys are each the sum of two bfloat16 numbers (which a half
// is exactly) and three of the four products are taken. Weights and values are rounded, as their errors are relative to the output.
#pragma once

#include "models/compute/cpu/amx_tiles.h"
#include "models/compute/cpu/simd_attention.h"

#if defined(__AVX512BF16__) && defined(__AVX512VBMI__)

namespace stoa::models {
namespace {

class TileProducts {
 public:
  void start(const AttentionState& state, int rows, int dim) {
    for (int r = 0; r < rows; ++r) {
      for (int d = 0; d < dim; d += 32) {
        const float* q = state.q + r * dim + d;
        const __m512 low = _mm512_load_ps(q), high = _mm512_load_ps(q + 16);
        const __m512i rounded = to_bf16(low, high);
        _mm512_store_si512(queries_[0][d / 32][r / 16] + r % 16 * 64, rounded);
        _mm512_store_si512(queries_[1][d / 32][r / 16] + r % 16 * 64, rest_of(low, high, rounded));
      }
    }
  }

  void scores(AttentionState& state, int rows, const PageStep& step, int dim) {
    for (int p = 0; p < step.pages; ++p) {
      take_keys(step.k[p], step.k[p + 1], dim);
      float* const out = state.weights[0] + p * kPageTokens;
      rows > 16 ? page_scores<2>(out, dim) : page_scores<1>(out, dim);
    }
  }

  void add_values(AttentionState& state, int rows, const PageStep& step, int dim) {
    for (int r = 0; r < rows; ++r) {
      for (int p = 0; p < step.pages; ++p) {
        const float* w = state.weights[r] + p * kPageTokens;
        _mm512_store_si512(weights_[p][r / 16] + r % 16 * 64, to_bf16(_mm512_load_ps(w), _mm512_load_ps(w + 16)));
      }
    }
    for (int d = 0; d < dim; d += 32) {
      take_values(step, d, dim);
      rows > 16 ? add_to_sums<2>(state.sums + d, step.pages, dim) : add_to_sums<1>(state.sums + d, step.pages, dim);
    }
  }

 private:
  using Tile = std::uint8_t[kTileBytes];
  static constexpr int kSteps = KvLayout::kMaxHeadDim / 32;
  static_assert(kPageTokens == 32, "the keys of a page are two tiles wide, its values one tile deep");

  // The keys of a page, transposed already, as pairs of dimensions.
  void take_keys(const std::byte* page, const std::byte* ahead, int dim) {
    for (int d = 0; d < dim; d += 2) {
      const std::byte* at = page + d * kPageTokens * 2;
      __builtin_prefetch(ahead + d * kPageTokens * 2);
      __builtin_prefetch(ahead + d * kPageTokens * 2 + 64);
      for (int half = 0; half < 2; ++half) {
        const __m512 even = Avx512::load_f16(at + 32 * half), odd = Avx512::load_f16(at + kPageTokens * 2 + 32 * half);
        const __m512i rounded = to_bf16(even, odd);
        _mm512_store_si512(keys_[0][d / 32][half] + d % 32 * 32, paired(rounded));
        _mm512_store_si512(keys_[1][d / 32][half] + d % 32 * 32, paired(rest_of(even, odd, rounded)));
      }
    }
  }

  // kRowTiles * 16 rows by the positions of a page.
  template <int kRowTiles>
  void page_scores(float* out, int dim) const {
    constexpr std::int64_t kStride = kStepPositions * sizeof(float);
    zero_tile<0>();
    zero_tile<1>();
    if constexpr (kRowTiles > 1) {
      zero_tile<2>();
      zero_tile<3>();
    }
    const auto multiply = [] {
      multiply_tiles<0, 4, 6>();
      multiply_tiles<1, 4, 7>();
      if constexpr (kRowTiles > 1) {
        multiply_tiles<2, 5, 6>();
        multiply_tiles<3, 5, 7>();
      }
    };
    const auto load_queries = [this](int part, int step) {
      load_tile<4>(queries_[part][step][0]);
      if constexpr (kRowTiles > 1) load_tile<5>(queries_[part][step][1]);
    };
    const auto load_keys = [this](int part, int step) {
      load_tile<6>(keys_[part][step][0]);
      load_tile<7>(keys_[part][step][1]);
    };
    for (int step = 0; step < dim / 32; ++step) {
      load_keys(0, step);
      load_queries(1, step);
      multiply();
      load_queries(0, step);
      multiply();
      load_keys(1, step);
      multiply();
    }
    store_tile<0>(out, kStride);
    store_tile<1>(out + 16, kStride);
    if constexpr (kRowTiles > 1) {
      store_tile<2>(out + 16 * kStepPositions, kStride);
      store_tile<3>(out + 16 * kStepPositions + 16, kStride);
    }
  }

  // 32 dimensions of the values of a step, as pairs of positions; zero where there are none, because zero weights do not cancel NaN.
  void take_values(const PageStep& step, int d, int dim) {
    for (int p = 0; p < step.pages; ++p) {
      const int left = step.filled - p * kPageTokens;
      for (int position = 0; position < kPageTokens; position += 2) {
        const std::int64_t at = (std::int64_t{position} * dim + d) * 2;
        __builtin_prefetch(step.v[p + 1] + at);
        __builtin_prefetch(step.v[p + 1] + at + dim * 2);
        for (int half = 0; half < 2; ++half) {
          const std::byte* v = step.v[p] + at + 32 * half;
          const __m512 even = position < left ? Avx512::load_f16(v) : _mm512_setzero_ps();
          const __m512 odd = position + 1 < left ? Avx512::load_f16(v + dim * 2) : _mm512_setzero_ps();
          _mm512_store_si512(values_[p][half] + position * 32, paired(to_bf16(even, odd)));
        }
      }
    }
  }

  template <int kRowTiles>
  void add_to_sums(float* sums, int pages, int dim) const {
    const std::int64_t stride = dim * std::int64_t{sizeof(float)};
    float* const lower = sums + 16 * dim;
    load_tile<0>(sums, stride);
    load_tile<1>(sums + 16, stride);
    if constexpr (kRowTiles > 1) {
      load_tile<2>(lower, stride);
      load_tile<3>(lower + 16, stride);
    }
    for (int p = 0; p < pages; ++p) {
      load_tile<6>(values_[p][0]);
      load_tile<4>(weights_[p][0]);
      multiply_tiles<0, 4, 6>();
      load_tile<7>(values_[p][1]);
      multiply_tiles<1, 4, 7>();
      if constexpr (kRowTiles > 1) {
        load_tile<5>(weights_[p][1]);
        multiply_tiles<2, 5, 6>();
        multiply_tiles<3, 5, 7>();
      }
    }
    store_tile<0>(sums, stride);
    store_tile<1>(sums + 16, stride);
    if constexpr (kRowTiles > 1) {
      store_tile<2>(lower, stride);
      store_tile<3>(lower + 16, stride);
    }
  }

  const TileScope tiles_;
  // Rows that are not there hold anything: nothing of theirs gets into the others.
  alignas(64) Tile queries_[2][kSteps][2];  // [rounded, rest][dimensions][rows]
  alignas(64) Tile keys_[2][kSteps][2];     // [rounded, rest][dimensions][positions]
  alignas(64) Tile weights_[kStepPages][2];  // [page][rows]
  alignas(64) Tile values_[kStepPages][2];   // [page][dimensions]
};

void attention_in_tiles(const AttentionTile& t) { return attention_typed<Avx512, KvType::kF16, TileProducts>(t); }

}  // namespace
}  // namespace stoa::models

#endif
