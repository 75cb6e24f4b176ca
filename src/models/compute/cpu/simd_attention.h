// Attention over a paged KV cache with running softmax, over a vector type S (simd_avx2.h): see AttentionTile in kernels.h.
// A few pages at a time: scores of all rows against their keys (lanes are positions, because K pages are transposed), the new maximum of
// each row and the correction of what was summed before, then the weighted values are added (lanes are dimensions). K and V are read
// once for all rows of the tile. Method: Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
#pragma once

#include "models/compute/cpu/simd_scores.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

template <class S, KvType type, int kRows, int kVectors>
inline void add_values(AttentionState& state, int row, const PageStep& step, int dim, int head_dim) {
  typename S::F sums[kRows][kVectors];
  float* at = state.sums + row * head_dim + dim;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) sums[r][c] = S::load(at + r * head_dim + 16 * c);
  }
  for (int page = 0; page < step.pages; ++page) {
    const std::byte* v = step.v[page];
    const std::byte* ahead = step.v[page + 1];
    const float* weights = state.weights[row] + page * kPageTokens;
    const int left = step.filled - page * kPageTokens;
    const int positions = left < kPageTokens ? left : kPageTokens;
    for (int p = 0; p < positions; ++p) {
      typename S::F value[kVectors];
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) value[c] = load_kv<S, type>(v, p * head_dim + dim + 16 * c);
      for (int i = 0; i < 16 * kVectors * kElementBytes<type>; i += 64) __builtin_prefetch(ahead + (p * head_dim + dim) * kElementBytes<type> + i);
#pragma GCC unroll 8
      for (int r = 0; r < kRows; ++r) {
        const auto weight = S::set1(weights[r * kStepPositions + p]);
#pragma GCC unroll 8
        for (int c = 0; c < kVectors; ++c) sums[r][c] = S::fma(weight, value[c], sums[r][c]);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) S::store(at + r * head_dim + 16 * c, sums[r][c]);
  }
}

template <class S, KvType type, int kRows>
inline void add_all_values(AttentionState& state, int row, const PageStep& step, int head_dim) {
  constexpr int kVectors = kRows * 4 <= S::kAttentionSums ? 4 : kRows * 2 <= S::kAttentionSums ? 2 : 1;
  int dim = 0;
  for (; dim + 16 * kVectors <= head_dim; dim += 16 * kVectors) add_values<S, type, kRows, kVectors>(state, row, step, dim, head_dim);
  for (; dim < head_dim; dim += 16) add_values<S, type, kRows, 1>(state, row, step, dim, head_dim);
}

// Calls fn.template operator()<n>(row) with tiles of n <= kTile rows, as even as can be.
template <int kTile, class Fn>
inline void for_row_tile(int rows, int row, Fn& fn) {
  if constexpr (kTile > 1) {
    if (rows < kTile) return for_row_tile<kTile - 1>(rows, row, fn);
  }
  fn.template operator()<kTile>(row);
}
template <class S, class Fn>
inline void for_row_tiles(int rows, Fn fn) {
  for (int row = 0; row < rows;) {
    const int tiles = (rows - row + S::kAttentionTile - 1) / S::kAttentionTile;
    const int size = (rows - row + tiles - 1) / tiles;
    for_row_tile<S::kAttentionTile>(size, row, fn);
    row += size;
  }
}

// Scores of positions begin..end-1 of the step become weights relative to the row's largest score so far; for 8-bit values, times their scales.
template <class S, KvType type>
inline void renew_row(AttentionState& state, int row, const PageStep& step, int begin, int end, int head_dim) {
  const auto lowest = S::set1(-__builtin_inff());
  float* weights = state.weights[row];
  const int count = step.pages * kPageTokens;
  if (begin >= end) {
    for (int i = 0; i < count; i += 16) S::store(weights + i, S::zero());
    return;
  }
  auto largest_each = lowest;
  for (int i = 0; i < count; i += 16) {
    const auto s = S::select_range(S::load(weights + i), lowest, begin - i, end - i);
    S::store(weights + i, s);
    largest_each = S::max(largest_each, s);
  }
  const float step_largest = S::reduce_max(largest_each);
  const float before = state.largest[row];
  const float largest = step_largest > before ? step_largest : before;
  auto total = S::load(state.totals[row]);
  if (largest > before && before != -__builtin_inff()) {
    const auto correction = exp<S>(S::set1(before - largest));
    total = S::mul(total, correction);
    float* sums = state.sums + row * head_dim;
    for (int d = 0; d < head_dim; d += 16) S::store(sums + d, S::mul(S::load(sums + d), correction));
  }
  state.largest[row] = largest;
  for (int i = 0; i < count; i += 16) {
    auto w = exp<S>(S::sub(S::load(weights + i), S::set1(largest)));
    total = S::add(total, w);
    if constexpr (type == KvType::kQ8) w = S::mul(w, S::load(reinterpret_cast<const float*>(step.v[i / kPageTokens]) + i % kPageTokens));
    S::store(weights + i, w);
  }
  S::store(state.totals[row], total);
}

// The row's query in 8 bits.
template <class S>
inline void quantize_query(AttentionState& state, int row, int head_dim) {
  const float* q = state.q + row * head_dim;
  auto largest_each = S::zero();
  for (int d = 0; d < head_dim; d += 16) largest_each = S::max(largest_each, S::abs(S::load(q + d)));
  const float largest = S::reduce_max(largest_each);
  const auto inverse = S::set1(largest > 0 ? 127.0f / largest : 0.0f);
  auto sum = S::zero();
  for (int d = 0; d < head_dim; d += 16) {
    const auto rounded = S::round(S::mul(S::load(q + d), inverse));
    S::store_i8(state.q8 + row * head_dim + d, rounded);
    sum = S::add(sum, rounded);
  }
  state.q8_scale[row] = largest / 127.0f;
  state.q8_offset[row] = -kOffset * static_cast<int>(S::reduce_add(sum));
}

// The two products of a step, with vectors; amx_attention.h has others.
template <class S, KvType type>
struct VectorProducts {
  void start(const AttentionState&, int, int) {}
  void scores(AttentionState& state, int rows, const PageStep& step, int dim) {
    for (int p = 0; p < step.pages; ++p) {
      for_row_tiles<S>(rows, [&]<int kRows>(int row) { models::scores<S, type, kRows>(state, row, p, step.k[p], step.k[p + 1], dim); });
    }
  }
  void add_values(AttentionState& state, int rows, const PageStep& step, int dim) {
    for_row_tiles<S>(rows, [&]<int kRows>(int row) { add_all_values<S, type, kRows>(state, row, step, dim); });
  }
};

template <class S, KvType type, class Products = VectorProducts<S, type>>
void attention_typed(const AttentionTile& t) {
  AttentionState state;
  Products products;
  const int rows = t.tokens * t.heads, dim = t.head_dim;
  const auto scale = S::set1(t.scale);
  for (int r = 0; r < rows; ++r) {
    const float* q = t.q + (r / t.heads) * t.q_stride + (r % t.heads) * dim;
    for (int d = 0; d < dim; d += 16) {
      S::store(state.q + r * dim + d, S::mul(S::load(q + d), scale));
      S::store(state.sums + r * dim + d, S::zero());
    }
    state.largest[r] = -__builtin_inff();
    S::store(state.totals[r], S::zero());
    if constexpr (type == KvType::kQ8) quantize_query<S>(state, r, dim);
  }
  products.start(state, rows, dim);
  const int seen = t.causal && t.first_position + t.tokens < t.positions ? t.first_position + t.tokens : t.positions;
  const int oldest = t.window > 0 && t.first_position + 1 > t.window ? t.first_position + 1 - t.window : 0;
  const int last_page = pages_for(seen);
  for (int page = oldest / kPageTokens; page < last_page;) {
    const int base = page * kPageTokens;
    PageStep step;
    for (; step.pages < kStepPages && page < last_page; ++page, ++step.pages) {
      step.k[step.pages] = t.pages[page] + t.k_offset;
      step.v[step.pages] = t.pages[page] + t.v_offset;
    }
    step.k[step.pages] = step.v[0];
    step.v[step.pages] = page < last_page ? t.pages[page] + t.k_offset : step.v[0];
    step.filled = seen - base < kStepPositions ? seen - base : kStepPositions;
    products.scores(state, rows, step, dim);
    for (int r = 0; r < rows; ++r) {
      if (t.softcap > 0) softcap<S>(state.weights[r], t.softcap, std::int64_t{step.pages} * kPageTokens);
      const int position = t.first_position + r / t.heads;
      const int end = t.causal && position + 1 - base < step.filled ? position + 1 - base : step.filled;
      const int begin = t.window > 0 && position + 1 - t.window > base ? position + 1 - t.window - base : 0;
      renew_row<S, type>(state, r, step, begin, end, dim);
    }
    products.add_values(state, rows, step, dim);
  }
  for (int r = 0; r < rows; ++r) {
    float* out = t.out + (r / t.heads) * t.out_stride + (r % t.heads) * dim;
    const auto factor = S::set1(1.0f / S::reduce_add(S::load(state.totals[r])));
    for (int d = 0; d < dim; d += 16) S::store(out + d, S::mul(S::load(state.sums + r * dim + d), factor));
  }
}

// A key or value of n elements in 8 bits, as ActivationGroup has them but with one scale in float32. Returns it.
template <class S>
float quantize_kv(const float* x, int n, std::int8_t* out) {
  auto largest_each = S::zero();
  for (int i = 0; i < n; i += 16) largest_each = S::max(largest_each, S::abs(S::load(x + i)));
  const float largest = S::reduce_max(largest_each);
  const auto inverse = S::set1(largest > 0 ? 127.0f / largest : 0.0f);
  for (int i = 0; i < n; i += 16) S::store_i8(out + i, S::round(S::mul(S::load(x + i), inverse)));
  return largest / 127.0f;
}

template <class S>
void attention_tile(const AttentionTile& t) {
  switch (t.type) {
    case KvType::kF16: return attention_typed<S, KvType::kF16>(t);
    case KvType::kF32: return attention_typed<S, KvType::kF32>(t);
    case KvType::kQ8: return attention_typed<S, KvType::kQ8>(t);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
