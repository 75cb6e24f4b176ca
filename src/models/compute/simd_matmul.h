// Matrix products over a vector type S (simd_avx2.h), for every type of weights: see MatmulTile in kernels.h. Block formats are in
// simd_direct.h and simd_panel.h; F32, F16 and BF16 are here.
#pragma once

#include "models/compute/simd_panel.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

template <class S, DType type>
void block_matmul(const MatmulTile& t) {
  using Fmt = Format<S, type>;
  return t.m <= kDirectRows ? direct<S, Fmt>(t) : panels<S, Fmt>(t);
}

template <class S, DType type>
inline typename S::F load_floats(const std::byte* p) {
  if constexpr (type == DType::kF32) return S::load(reinterpret_cast<const float*>(p));
  if constexpr (type == DType::kF16) return S::load_f16(p);
  if constexpr (type == DType::kBF16) return S::load_bf16(p);
}

template <class S, DType type, int kRows, int kColumns>
void float_cell(const MatmulTile& t, int row, int column) {
  constexpr int kBytes = type == DType::kF32 ? 4 : 2;
  const std::byte* w = t.w + static_cast<std::size_t>(row) * t.row_bytes;
  const float* x = static_cast<const float*>(t.x) + column * t.x_stride;
  typename S::F sums[kRows][kColumns];
#pragma GCC unroll 4
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) sums[r][c] = S::zero();
  }
  [[maybe_unused]] const std::byte* ahead = w + kRows * t.row_bytes + kPrefetchDistance;
  for (int k = 0; k < t.cols; k += 16) {
    if constexpr (kColumns == 1) {
      for (int i = 0; i < 16 * kRows * kBytes; i += 64) __builtin_prefetch(ahead + k * kRows * kBytes + i);
    }
    typename S::F v[kRows];
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) v[r] = load_floats<S, type>(w + static_cast<std::size_t>(r) * t.row_bytes + k * kBytes);
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) {
      const auto xs = S::load(x + c * t.x_stride + k);
#pragma GCC unroll 4
      for (int r = 0; r < kRows; ++r) sums[r][c] = S::fma(v[r], xs, sums[r][c]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) put(t, column + c, row + r, S::reduce_add(sums[r][c]));
  }
}

template <class S, DType type, int kColumns>
void float_rows(const MatmulTile& t, int column) {
  int row = 0;
  for (; row + S::kFloatRows <= t.rows; row += S::kFloatRows) float_cell<S, type, S::kFloatRows, kColumns>(t, row, column);
  for (; row < t.rows; ++row) float_cell<S, type, 1, kColumns>(t, row, column);
}

template <class S, DType type>
void float_matmul(const MatmulTile& t) {
  int column = 0;
  for (; column + S::kFloatColumns <= t.m; column += S::kFloatColumns) float_rows<S, type, S::kFloatColumns>(t, column);
  for (; column < t.m; ++column) float_rows<S, type, 1>(t, column);
}

template <class S>
void matmul_tile(const MatmulTile& t) {
  switch (t.dtype) {
    case DType::kF32: return float_matmul<S, DType::kF32>(t);
    case DType::kF16: return float_matmul<S, DType::kF16>(t);
    case DType::kBF16: return float_matmul<S, DType::kBF16>(t);
    case DType::kQ4_0: return block_matmul<S, DType::kQ4_0>(t);
    case DType::kQ4_1: return block_matmul<S, DType::kQ4_1>(t);
    case DType::kQ5_0: return block_matmul<S, DType::kQ5_0>(t);
    case DType::kQ5_1: return block_matmul<S, DType::kQ5_1>(t);
    case DType::kQ8_0: return block_matmul<S, DType::kQ8_0>(t);
    case DType::kQ4_K: return block_matmul<S, DType::kQ4_K>(t);
    case DType::kQ5_K: return block_matmul<S, DType::kQ5_K>(t);
    case DType::kQ6_K: return block_matmul<S, DType::kQ6_K>(t);
    default: return;  // make_weights refuses the others
  }
}

}  // namespace
}  // namespace stoa::models

#endif
