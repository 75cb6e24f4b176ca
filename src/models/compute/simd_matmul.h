// Matrix products over a vector type S (simd_avx2.h): see MatmulTile in kernels.h.
//
// Block formats, few rows of x (decode): each group of four weight blocks is loaded once and multiplied with every row of x; lanes
// run along the row, so nothing is rearranged and the weights stream at memory speed.
// Block formats, many rows (prefill): sixteen weight rows are unpacked into a panel where each lane belongs to a weight row,
//   panel block: q[8][16 rows][4 bytes]   scale[16]   min[16]   scale of the upper halves[16]
// and each 4 bytes of x are broadcast against it. The unpacking is paid once for all rows of x, and no sums cross lanes.
#pragma once

#include "models/compute/simd_weights.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

inline constexpr int kPrefetchDistance = 4096;  // bytes, beyond the rows being read

template <class S, bool kSigned>
inline typename S::I dot(typename S::I acc, typename S::I w, typename S::I x) {
  if constexpr (kSigned) {
    return S::dot_signed(acc, w, x);
  } else {
    return S::dot_unsigned(acc, w, x);
  }
}

inline void put(const MatmulTile& t, int i, int row, float value) {
  float* y = t.y + i * t.y_stride + row;
  if (t.bias != nullptr) value += t.bias[row];
  *y = t.accumulate ? *y + value : value;
}

// The running sums of one weight row and one row of x.
template <class S, class Fmt>
struct DirectSum {
  typename S::F products = S::zero();
  __m256 mins = _mm256_setzero_ps();  // the upper four count

  void add(const GroupWeights<S>& w, const ActivationGroup& x) {
    const __m256 factors = _mm256_mul_ps(w.scale_min, _mm256_load_ps(x.scale_sum));
    const auto x_low = S::iload(x.q);
    const auto x_high = S::iload(x.q + kGroup / 2);
    if constexpr (Fmt::kHalves) {
      const __m128 scales = _mm_load_ps(x.scale_sum);
      const __m128 high_sum = _mm_sub_ps(_mm_load_ps(x.scale_sum + 4), _mm_load_ps(x.low_sum));
      products = S::fma(S::to_float(S::dot_unsigned(S::izero(), w.low, x_low)), S::spread(_mm256_castps256_ps128(factors)), products);
      products = S::fma(S::to_float(S::dot_unsigned(S::izero(), w.high, x_high)), S::spread(_mm_mul_ps(w.scale_high, scales)), products);
      const __m128 sums = _mm_fmadd_ps(w.scale_high, high_sum, _mm_mul_ps(_mm256_castps256_ps128(w.scale_min), _mm_load_ps(x.low_sum)));
      mins = _mm256_add_ps(mins, join(_mm_setzero_ps(), _mm_mul_ps(sums, _mm_set1_ps(-32.0f))));
    } else {
      const auto sum = dot<S, Fmt::kSigned>(dot<S, Fmt::kSigned>(S::izero(), w.low, x_low), w.high, x_high);
      products = S::fma(S::to_float(sum), S::spread(_mm256_castps256_ps128(factors)), products);
      mins = _mm256_add_ps(mins, factors);
    }
  }
  float total() const { return S::reduce_add(products) + sum4(_mm256_extractf128_ps(mins, 1)); }
};

template <class S, class Fmt, int kRows, int kColumns>
void direct_rows(const MatmulTile& t, int row) {
  const auto* x = static_cast<const ActivationGroup*>(t.x);
  const auto* w = reinterpret_cast<const Byte*>(t.w) + static_cast<std::size_t>(row) * t.row_bytes;
  const int blocks = t.cols / kBlock;
  const int whole = blocks / kGroupBlocks;
  const Byte* ahead = w + kRows * t.row_bytes + kPrefetchDistance;
  DirectSum<S, Fmt> sums[kRows][kColumns];
  for (int g = 0; g < whole; ++g) {
    // Rows lie one after the other, so these loops together read one stretch of memory. Hardware loses track of several rows at once.
    for (int i = 0; i < kRows * Fmt::kBytes; i += 64) __builtin_prefetch(ahead + g * kRows * Fmt::kBytes + i);
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      GroupWeights<S> group;
      Fmt::load(w + static_cast<std::size_t>(r) * t.row_bytes, g, group);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c].add(group, x[c * t.x_stride + g]);
    }
  }
  if (const int rest = blocks % kGroupBlocks; rest != 0) {
    const Byte* end = reinterpret_cast<const Byte*>(t.w) + static_cast<std::size_t>(t.rows) * t.row_bytes;
#pragma GCC unroll 4
    for (int r = 0; r < kRows; ++r) {
      GroupWeights<S> group;
      load_tail<S, Fmt>(w + static_cast<std::size_t>(r) * t.row_bytes, whole, rest, end, group);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c].add(group, x[c * t.x_stride + whole]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kColumns; ++c) put(t, c, row + r, sums[r][c].total());
  }
}

template <class S, class Fmt, int kColumns>
void direct_columns(const MatmulTile& t) {
  constexpr int kRows = kColumns == 1 ? 4 : 2;
  int row = 0;
  for (; row + kRows <= t.rows; row += kRows) direct_rows<S, Fmt, kRows, kColumns>(t, row);
  for (; row < t.rows; ++row) direct_rows<S, Fmt, 1, kColumns>(t, row);
}

template <class S, class Fmt>
void direct(const MatmulTile& t) {
  static_assert(kDirectRows == 4);
  switch (t.m) {
    case 1: return direct_columns<S, Fmt, 1>(t);
    case 2: return direct_columns<S, Fmt, 2>(t);
    case 3: return direct_columns<S, Fmt, 3>(t);
    default: return direct_columns<S, Fmt, 4>(t);
  }
}

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
      scale[r] = _mm256_castps256_ps128(group.scale_min);
      min[r] = _mm256_extractf128_ps(group.scale_min, 1);
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
      if constexpr (!Fmt::kHalves && !Fmt::kSigned) sums[c] = S::fma(min, S::set1(f[4]), sums[c]);
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
