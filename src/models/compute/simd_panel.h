// Products of block formats with many rows of x (prefill), over a vector type S (simd_avx2.h): sixteen weight rows are unpacked into a
// panel where each lane belongs to a weight row,
//   panel block: q[8][16 rows][4 bytes]   scale[16]   min[16]   scale of the upper halves[16]
// and each 4 bytes of x are broadcast against it. The unpacking is paid once for all rows of x, and no sums cross lanes.
#pragma once

#include "models/compute/simd_direct.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

inline constexpr int kPanelScale = kPanelRows * kBlock;
inline constexpr int kPanelMin = kPanelScale + 64;
inline constexpr int kPanelScaleHigh = kPanelMin + 64;

// Puts the four floats of each of sixteen rows into four vectors of the panel, one for each block.
inline void panel_floats(const __m128 v[kPanelRows], std::byte* panel, int offset) {
  for (int r = 0; r < kPanelRows; r += 4) {
    __m128 a = v[r], b = v[r + 1], c = v[r + 2], d = v[r + 3];
    _MM_TRANSPOSE4_PS(a, b, c, d);
    float* out = reinterpret_cast<float*>(panel + offset) + r;
    constexpr int kStride = kPanelBlockBytes / static_cast<int>(sizeof(float));
    _mm_storeu_ps(out, a);
    _mm_storeu_ps(out + kStride, b);
    _mm_storeu_ps(out + 2 * kStride, c);
    _mm_storeu_ps(out + 3 * kStride, d);
  }
}

// Unpacks up to sixteen rows; missing ones repeat the last, and nothing is stored for them later.
template <class S, class Fmt>
void unpack_panel(const MatmulTile& t, int first_row, std::byte* panel) {
  const auto* w = reinterpret_cast<const Byte*>(t.w);
  const Byte* end = w + static_cast<std::size_t>(t.rows) * t.row_bytes;
  const int blocks = t.cols / kBlock;
  for (int g = 0; g * kGroupBlocks < blocks; ++g, panel += kGroupBlocks * kPanelBlockBytes) {
    typename S::I low[kPanelRows];
    typename S::I high[kPanelRows];
    __m128 scale[kPanelRows], min[kPanelRows], scale_high[kPanelRows];
#pragma GCC unroll 16
    for (int r = 0; r < kPanelRows; ++r) {
      const int row = first_row + r < t.rows ? first_row + r : t.rows - 1;
      const Byte* p = w + static_cast<std::size_t>(row) * t.row_bytes;
      GroupWeights<S> group;
      for (int i = 0; i < Fmt::kBytes; i += 64) __builtin_prefetch(p + g * Fmt::kBytes + i + kPanelRows * t.row_bytes);
      if ((g + 1) * kGroupBlocks <= blocks) {
        Fmt::load(p, g, group);
      } else {
        load_tail<S, Fmt>(p, g, blocks - g * kGroupBlocks, end, group);
      }
      low[r] = group.low;
      high[r] = group.high;
      (Fmt::kMinimum ? min : scale)[r] = _mm256_castps256_ps128(group.scale_min);
      (Fmt::kMinimum ? scale : min)[r] = _mm256_extractf128_ps(group.scale_min, 1);
      if constexpr (Fmt::kHalves) scale_high[r] = group.scale_high;
    }
    S::transpose16(low);
    S::transpose16(high);
    for (int b = 0; b < kGroupBlocks; ++b) {
      std::byte* block = panel + b * kPanelBlockBytes;
      for (int i = 0; i < 4; ++i) {
        S::istore(block + 64 * i, low[4 * b + i]);
        S::istore(block + 64 * (4 + i), high[4 * b + i]);
      }
    }
    panel_floats(scale, panel, kPanelScale);
    panel_floats(min, panel, kPanelMin);
    if constexpr (Fmt::kHalves) panel_floats(scale_high, panel, kPanelScaleHigh);
  }
}

template <class S, class Fmt, int kColumns>
void panel_columns(const MatmulTile& t, const std::byte* panel, int first_row, int column) {
  using F = typename S::F;
  using I = typename S::I;
  const auto* x = static_cast<const ActivationGroup*>(t.x) + column * t.x_stride;
  const int blocks = t.cols / kBlock;
  // From a block's scale in its ActivationGroup to the sum that its minimum is multiplied with.
  constexpr int kSum = Fmt::kMinimum ? -kGroupBlocks : kGroupBlocks;
  F sums[kColumns];
#pragma GCC unroll 8
  for (int c = 0; c < kColumns; ++c) sums[c] = S::zero();
  for (int b = 0; b < blocks; ++b, panel += kPanelBlockBytes) {
    const ActivationGroup* group = x + b / kGroupBlocks;
    const int k = b % kGroupBlocks;
    const std::int8_t* q = group->q + 16 * k;
    const std::int64_t q_stride = t.x_stride * static_cast<std::int64_t>(sizeof(ActivationGroup));
    const float* factors = group->scale_sum + k;
    const std::int64_t factor_stride = q_stride / static_cast<std::int64_t>(sizeof(float));
    I acc[kColumns];
    const auto half = [&](int first) {
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) acc[c] = S::izero();
#pragma GCC unroll 8
      for (int i = first; i < first + (Fmt::kHalves ? 4 : 8); ++i) {
        const I w = S::iload(panel + 64 * i);
        const std::int8_t* p = q + (i < 4 ? 4 * i : kGroup / 2 + 4 * (i - 4));
#pragma GCC unroll 8
        for (int c = 0; c < kColumns; ++c) acc[c] = dot<S, Fmt::kSigned>(acc[c], w, S::four_bytes(p + c * q_stride));
      }
    };
    half(0);
    const F scale = S::load(reinterpret_cast<const float*>(panel + kPanelScale));
    const F min = S::load(reinterpret_cast<const float*>(panel + kPanelMin));
#pragma GCC unroll 8
    for (int c = 0; c < kColumns; ++c) {
      const float* f = factors + c * factor_stride;
      sums[c] = S::fma(S::to_float(acc[c]), S::mul(scale, S::set1(f[0])), sums[c]);
      if constexpr (!Fmt::kHalves && !Fmt::kSigned) sums[c] = S::fma(min, S::set1(f[kSum]), sums[c]);
    }
    if constexpr (Fmt::kHalves) {
      half(4);
      const F scale_high = S::load(reinterpret_cast<const float*>(panel + kPanelScaleHigh));
      const F min_high = S::mul(scale_high, S::set1(-32.0f));
#pragma GCC unroll 8
      for (int c = 0; c < kColumns; ++c) {
        const float* f = factors + c * factor_stride;
        sums[c] = S::fma(S::to_float(acc[c]), S::mul(scale_high, S::set1(f[0])), sums[c]);
        sums[c] = S::fma(min, S::set1(f[8]), S::fma(min_high, S::set1(f[4] - f[8]), sums[c]));
      }
    }
  }
  const int rows = t.rows - first_row < kPanelRows ? t.rows - first_row : kPanelRows;
  for (int c = 0; c < kColumns; ++c) {
    float* y = t.y + (column + c) * t.y_stride + first_row;
    if (t.bias != nullptr) sums[c] = S::add(sums[c], S::load_n(t.bias + first_row, rows));
    if (t.accumulate) sums[c] = S::add(sums[c], S::load_n(y, rows));
    S::store_n(y, sums[c], rows);
  }
}

template <class S, class Fmt, int kColumns>
int panel_pass(const MatmulTile& t, const std::byte* panel, std::size_t panel_bytes, int row, int panels, int column) {
  for (; column + kColumns <= t.m; column += kColumns) {
    for (int p = 0; p < panels; ++p) panel_columns<S, Fmt, kColumns>(t, panel + static_cast<std::size_t>(p) * panel_bytes, row + p * kPanelRows, column);
  }
  return column;
}

template <class S, class Fmt>
void panels(const MatmulTile& t) {
  const std::size_t panel_bytes = matmul_scratch_bytes(t.cols) / kPanels;
  for (int row = 0; row < t.rows; row += kPanels * kPanelRows) {
    int count = 0;
    for (int p = 0; p < kPanels && row + p * kPanelRows < t.rows; ++p, ++count) {
      unpack_panel<S, Fmt>(t, row + p * kPanelRows, t.scratch + static_cast<std::size_t>(p) * panel_bytes);
    }
    int column = panel_pass<S, Fmt, S::kColumnTile>(t, t.scratch, panel_bytes, row, count, 0);
    if constexpr (S::kColumnTile > 4) column = panel_pass<S, Fmt, 4>(t, t.scratch, panel_bytes, row, count, column);
    if constexpr (S::kColumnTile > 2) column = panel_pass<S, Fmt, 2>(t, t.scratch, panel_bytes, row, count, column);
    panel_pass<S, Fmt, 1>(t, t.scratch, panel_bytes, row, count, column);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
