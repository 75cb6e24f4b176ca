// Attention over a paged KV cache with running softmax, over a vector type S (simd_avx2.h): see AttentionTile in kernels.h.
// For each page: scores of all rows against its 32 keys (lanes are positions, because K pages are transposed), the new maximum of each
// row and the correction of what was summed before, then the weighted values are added (lanes are dimensions). K and V are read
// once for all rows of the tile. Method: Milakov and Gimelshein, "Online normalizer calculation for softmax" (2018).
#pragma once

#include "models/compute/simd_elementwise.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

struct AttentionState {
  alignas(64) float q[kAttentionRows][KvLayout::kMaxHeadDim];  // already scaled
  alignas(64) float sums[kAttentionRows][KvLayout::kMaxHeadDim];
  alignas(64) float weights[kAttentionRows][kPageTokens];
  float largest[kAttentionRows];
  float total[kAttentionRows];
};

template <class S, KvType type>
inline typename S::F load_kv(const std::byte* block, std::int64_t element) {
  if constexpr (type == KvType::kF16) {
    return S::load_f16(block + 2 * element);
  } else {
    return S::load(reinterpret_cast<const float*>(block) + element);
  }
}

// Bytes of one dimension of K in a page.
template <KvType type>
inline constexpr int kKeyBytes = kPageTokens * (type == KvType::kF16 ? 2 : 4);

// `ahead` is what will be read next: pages lie anywhere, and the hardware does not follow from one to another.
template <class S, KvType type, int kRows>
inline void scores(AttentionState& state, int row, const std::byte* k, const std::byte* ahead, int head_dim) {
  typename S::F sums[kRows][2];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = S::zero();
  for (int d = 0; d < head_dim; ++d) {
    const auto k0 = load_kv<S, type>(k, d * kPageTokens);
    const auto k1 = load_kv<S, type>(k, d * kPageTokens + 16);
    __builtin_prefetch(ahead + d * kKeyBytes<type>);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto q = S::set1(state.q[row + r][d]);
      sums[r][0] = S::fma(q, k0, sums[r][0]);
      sums[r][1] = S::fma(q, k1, sums[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    S::store(state.weights[row + r], sums[r][0]);
    S::store(state.weights[row + r] + 16, sums[r][1]);
  }
}

template <class S, KvType type, int kRows, int kVectors>
inline void add_values(AttentionState& state, int row, const std::byte* v, const std::byte* ahead, int dim, int head_dim, int positions) {
  typename S::F sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) sums[r][c] = S::load(state.sums[row + r] + dim + 16 * c);
  }
  for (int p = 0; p < positions; ++p) {
    typename S::F value[kVectors];
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) value[c] = load_kv<S, type>(v, p * head_dim + dim + 16 * c);
    const std::byte* next = ahead + (p * head_dim + dim) * (type == KvType::kF16 ? 2 : 4);
    __builtin_prefetch(next);
    __builtin_prefetch(next + 64);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto weight = S::set1(state.weights[row + r][p]);
#pragma GCC unroll 8
      for (int c = 0; c < kVectors; ++c) sums[r][c] = S::fma(weight, value[c], sums[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kVectors; ++c) S::store(state.sums[row + r] + dim + 16 * c, sums[r][c]);
  }
}

template <class S, KvType type, int kRows>
inline void add_all_values(AttentionState& state, int row, const std::byte* v, const std::byte* ahead, int head_dim, int positions) {
  int dim = 0;
  for (; dim + 16 * S::kValueTile <= head_dim; dim += 16 * S::kValueTile) add_values<S, type, kRows, S::kValueTile>(state, row, v, ahead, dim, head_dim, positions);
  for (; dim < head_dim; dim += 16) add_values<S, type, kRows, 1>(state, row, v, ahead, dim, head_dim, positions);
}

// Calls fn.template operator()<n>(row) with tiles of kAttentionTile rows and then with halves of that for what is left.
template <class S, int kRows = S::kAttentionTile, class Fn>
inline void for_row_tiles(int rows, Fn fn, int row = 0) {
  for (; row + kRows <= rows; row += kRows) fn.template operator()<kRows>(row);
  if constexpr (kRows > 1) {
    if (row < rows) for_row_tiles<S, kRows / 2>(rows, fn, row);
  }
}

// Scores of positions begin..end-1 of the page become weights relative to the row's largest score so far.
template <class S>
inline void renew_row(AttentionState& state, int row, int begin, int end, int head_dim) {
  const auto lowest = S::set1(-__builtin_inff());
  float* weights = state.weights[row];
  if (begin >= end) {
    S::store(weights, S::zero());
    S::store(weights + 16, S::zero());
    return;
  }
  const auto s0 = S::select_range(S::load(weights), lowest, begin, end);
  const auto s1 = S::select_range(S::load(weights + 16), lowest, begin - 16, end - 16);
  const float page_largest = S::reduce_max(S::max(s0, s1));
  const float before = state.largest[row];
  const float largest = page_largest > before ? page_largest : before;
  if (largest > before && before != -__builtin_inff()) {
    alignas(64) float correction[16];
    S::store(correction, exp<S>(S::set1(before - largest)));
    state.total[row] *= correction[0];
    for (int d = 0; d < head_dim; d += 16) S::store(state.sums[row] + d, S::mul(S::load(state.sums[row] + d), S::set1(correction[0])));
  }
  state.largest[row] = largest;
  const auto w0 = exp<S>(S::sub(s0, S::set1(largest)));
  const auto w1 = exp<S>(S::sub(s1, S::set1(largest)));
  state.total[row] += S::reduce_add(S::add(w0, w1));
  S::store(weights, w0);
  S::store(weights + 16, w1);
}

template <class S, KvType type>
void attention_typed(const AttentionTile& t) {
  AttentionState state;
  const int rows = t.tokens * t.heads;
  const auto scale = S::set1(t.scale);
  for (int r = 0; r < rows; ++r) {
    const float* q = t.q + (r / t.heads) * t.q_stride + (r % t.heads) * t.head_dim;
    for (int d = 0; d < t.head_dim; d += 16) {
      S::store(state.q[r] + d, S::mul(S::load(q + d), scale));
      S::store(state.sums[r] + d, S::zero());
    }
    state.largest[r] = -__builtin_inff();
    state.total[r] = 0;
  }
  const int seen = t.causal && t.first_position + t.tokens < t.positions ? t.first_position + t.tokens : t.positions;
  const int oldest = t.window > 0 && t.first_position + 1 > t.window ? t.first_position + 1 - t.window : 0;
  for (int page = oldest / kPageTokens; page * kPageTokens < seen; ++page) {
    const int base = page * kPageTokens;
    const int filled = seen - base < kPageTokens ? seen - base : kPageTokens;
    const std::byte* k = t.pages[page] + t.k_offset;
    const std::byte* v = t.pages[page] + t.v_offset;
    const std::byte* next_k = (page + 1) * kPageTokens < seen ? t.pages[page + 1] + t.k_offset : k;
    for_row_tiles<S>(rows, [&]<int kRows>(int row) { scores<S, type, kRows>(state, row, k, v, t.head_dim); });
    if (t.softcap > 0) softcap<S>(state.weights[0], t.softcap, std::int64_t{rows} * kPageTokens);
    for (int r = 0; r < rows; ++r) {
      const int position = t.first_position + r / t.heads;
      const int end = t.causal && position + 1 - base < filled ? position + 1 - base : filled;
      const int begin = t.window > 0 && position + 1 - t.window > base ? position + 1 - t.window - base : 0;
      renew_row<S>(state, r, begin, end, t.head_dim);
    }
    // Rows beyond `filled` hold whatever was in the page, even NaN, so zero weights would not do.
    for_row_tiles<S>(rows, [&]<int kRows>(int row) { add_all_values<S, type, kRows>(state, row, v, next_k, t.head_dim, filled); });
  }
  for (int r = 0; r < rows; ++r) {
    float* out = t.out + (r / t.heads) * t.out_stride + (r % t.heads) * t.head_dim;
    const auto factor = S::set1(1.0f / state.total[r]);
    for (int d = 0; d < t.head_dim; d += 16) S::store(out + d, S::mul(S::load(state.sums[r] + d), factor));
  }
}

template <class S>
void attention_tile(const AttentionTile& t) {
  return t.type == KvType::kF16 ? attention_typed<S, KvType::kF16>(t) : attention_typed<S, KvType::kF32>(t);
}

}  // namespace
}  // namespace stoa::models

#endif
