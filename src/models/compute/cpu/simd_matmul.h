// Matrix products over a vector type S (simd_avx2.h), for every type of weights: see MatmulTile in kernels.h. Block formats are in
// simd_packed.h; F32, F16 and BF16 are here.
#pragma once

#include "models/compute/cpu/simd_packed.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

// kPanels panels by kColumns rows of x, a vector of weights (kStep values of each row) at a time.
template <class S, DType type, int kPanels, int kColumns>
void float_columns(const MatmulTile& t, const Byte* w, int row, int column, Ahead ahead) {
  constexpr int kStep = type == DType::kBF16 ? 2 : 1;
  constexpr int kBytes = type == DType::kF16 ? 32 : 64;
  constexpr int kValueBytes = type == DType::kBF16 ? 2 : 4;
  const std::size_t next_panel = panel_bytes(type, t.cols);
  const auto* x = reinterpret_cast<const Byte*>(t.x) + static_cast<std::size_t>(column) * t.x_stride;
  typename S::F sums[kPanels][kColumns];
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) sums[p][c] = S::zero();
  }
  for (int k = 0; k < t.cols; k += 16) {
#pragma GCC unroll 4
    for (int p = 0; p < kPanels; ++p) {
      for (int i = 0; i < ahead.bytes; i += 64) __builtin_prefetch(ahead.from + static_cast<std::size_t>(p) * next_panel + i, 0, 2);
    }
    ahead.from += ahead.bytes;
#pragma GCC unroll 16
    for (int j = 0; j < 16 / kStep; ++j, w += kBytes, x += kStep * kValueBytes) {
#pragma GCC unroll 4
      for (int p = 0; p < kPanels; ++p) {
        const Byte* at = w + static_cast<std::size_t>(p) * next_panel;
        if constexpr (type == DType::kBF16) {
          const auto pairs = S::iload(at);
#pragma GCC unroll 16
          for (int c = 0; c < kColumns; ++c) sums[p][c] = S::dot_bf16(sums[p][c], pairs, S::four_bytes(x + static_cast<std::size_t>(c) * t.x_stride));
        } else {
          const auto values = type == DType::kF16 ? S::load_f16(at) : S::load(reinterpret_cast<const float*>(at));
#pragma GCC unroll 16
          for (int c = 0; c < kColumns; ++c) sums[p][c] = S::fma(values, S::set1(load_as<float>(x + static_cast<std::size_t>(c) * t.x_stride)), sums[p][c]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int p = 0; p < kPanels; ++p) {
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) put<S>(t, row + p * kPanelRows, column + c, sums[p][c]);
  }
}

// Few rows of x take several panels at a time, because one addition to a sum waits for the one before.
template <class S, DType type>
void float_matmul(const MatmulTile& t) {
  constexpr int kTogether = 4;
  for_panels<S::kFloatTile, kTogether>(t, t.cols / 16, [&]<int kColumns>(const Byte* w, int row, int column, int panels, Ahead ahead) {
    constexpr int kPanels = kColumns >= S::kFloatTile ? 1 : kColumns > 2 && S::kFloatTile > 4 ? 2 : kTogether;
    const std::size_t bytes = panel_bytes(type, t.cols);
    int p = 0;
    const auto run = [&]<int kCount>() {
      for (; p + kCount <= panels; p += kCount) {
        const std::size_t at = static_cast<std::size_t>(p) * bytes;
        float_columns<S, type, kCount, kColumns>(t, w + at, row + p * kPanelRows, column, {ahead.from + at, ahead.bytes});
      }
    };
    run.template operator()<kPanels>();
    if constexpr (kPanels > 1) run.template operator()<1>();
  });
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
