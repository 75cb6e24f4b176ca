// Products of packed block formats with any number of rows of x, over a vector type S (simd_avx2.h): each lane belongs to a weight row,
// and each 4 bytes of x are broadcast against four bytes of sixteen rows, so no sums cross lanes and nothing is shuffled.
#pragma once

#include "models/compute/cpu/simd_formats.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

namespace stoa::models {
namespace {

// Stores the sums of a panel (or what is left of the tile's rows) for one row of x.
template <class S>
inline void put(const MatmulTile& t, int row, int column, typename S::F sum) {
  const int rows = t.rows - row < kPanelRows ? t.rows - row : kPanelRows;
  float* y = t.y + column * t.y_stride + row;
  if (t.bias != nullptr) sum = S::add(sum, S::load_n(t.bias + row, rows));
  if (t.accumulate) sum = S::add(sum, S::load_n(y, rows));
  S::store_n(y, sum, rows);
}

// A stretch of memory to fetch on the way, `bytes` with every block: a share of the next panel, so that memory is at work while several
// passes use this one.
struct Ahead {
  const Byte* from = nullptr;
  int bytes = 0;
};

// The block's entries of ActivationGroup for a row of x, at their distances from its scale.
inline const float* float_entry(const Byte* entries, int which) { return reinterpret_cast<const float*>(entries) + which * kGroupBlocks; }
inline constexpr int kSum = 1, kMinimumSum = 2, kOffsetEntry = 3, kLowOffset = 4;

// acc += sums over vectors first..end-1 of a block's weights times x. Without kWide, products of small weights are added up in 16 bits.
template <class S, class Fmt, int kSub, int kColumns>
inline void multiply(typename S::I* acc, const Byte* w, int part, const Byte* q, std::size_t stride, int first, int end) {
  constexpr int kTogether = S::kWide || Fmt::kBits > 6 ? 1 : Fmt::kBits == 6 ? 2 : 4;
#pragma GCC unroll 8
  for (int i = first; i < end; i += kTogether) {
    typename S::I weights[kTogether];
#pragma GCC unroll 4
    for (int j = 0; j < kTogether; ++j) weights[j] = Fmt::template weights<kSub>(w, part, i + j);
    const Byte* p = q + (i < 4 ? 4 * i : kGroup / 2 + 4 * (i - 4));
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const Byte* x = p + static_cast<std::size_t>(c) * stride;
      if constexpr (kTogether == 1) {
        acc[c] = S::template dot<Fmt::kMinimum == Minimum::kNone>(acc[c], weights[0], S::four_bytes(x));
      } else {
        acc[c] = S::template dot_together<kTogether>(acc[c], weights, x);
      }
    }
  }
}

// Block k of a group of activations by the weights of one panel. An offset is taken back before the products are summed, in integers.
template <class S, class Fmt, int kSub, int kColumns>
inline void block_columns(typename S::F* sums, const Byte* w, int part, const Byte* group, int k, std::size_t stride) {
  const Byte* q = group + 16 * k;
  const Byte* entries = group + kGroup + static_cast<int>(sizeof(float)) * k;
  Factors<S> f;
  Fmt::template factors<kSub>(w, part, f);
  typename S::I acc[kColumns];
  if constexpr (Fmt::kHalves) {
    typename S::F low[kColumns];
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) acc[c] = S::template offset<Fmt::kDown>(float_entry(entries + static_cast<std::size_t>(c) * stride, kLowOffset));
    multiply<S, Fmt, kSub, kColumns>(acc, w, part, q, stride, 0, 4);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const Byte* e = entries + static_cast<std::size_t>(c) * stride;
      low[c] = S::mul(f.scale, S::to_float(acc[c]));
      acc[c] = S::isub(S::template offset<Fmt::kDown>(float_entry(e, kOffsetEntry)), S::template offset<Fmt::kDown>(float_entry(e, kLowOffset)));
    }
    multiply<S, Fmt, kSub, kColumns>(acc, w, part, q, stride, 4, 8);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const auto both = S::fma(f.scale_high, S::to_float(acc[c]), low[c]);
      sums[c] = S::fma(both, S::set1(*float_entry(entries + static_cast<std::size_t>(c) * stride, 0)), sums[c]);
    }
  } else {
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      if constexpr (Fmt::kMinimum == Minimum::kOffset) {
        acc[c] = S::template offset<Fmt::kDown>(float_entry(entries + static_cast<std::size_t>(c) * stride, kOffsetEntry));
      } else {
        acc[c] = S::izero();
      }
    }
    multiply<S, Fmt, kSub, kColumns>(acc, w, part, q, stride, 0, 8);
#pragma GCC unroll 16
    for (int c = 0; c < kColumns; ++c) {
      const Byte* e = entries + static_cast<std::size_t>(c) * stride;
      const auto products = S::to_float(acc[c]);
      const auto x_scale = S::set1(*float_entry(e, 0));
      if constexpr (Fmt::kMinimum == Minimum::kShared) {
        sums[c] = S::fma(S::fma(f.scale, products, S::mul(f.min, S::set1(*float_entry(e, kSum)))), x_scale, sums[c]);
      } else {
        if constexpr (Fmt::kMinimum == Minimum::kOwn) sums[c] = S::fma(f.min, S::set1(*float_entry(e, kMinimumSum)), sums[c]);
        sums[c] = S::fma(products, S::mul(f.scale, x_scale), sums[c]);
      }
    }
  }
}

// One panel by kColumns rows of x.
template <class S, class Fmt, int kColumns>
void packed_columns(const MatmulTile& t, const Byte* w, int row, int column, Ahead ahead) {
  const auto* group = reinterpret_cast<const Byte*>(t.x) + static_cast<std::size_t>(column) * t.x_stride;
  const int blocks = t.cols / kBlock;
  typename S::F sums[kColumns];
#pragma GCC unroll 16
  for (int c = 0; c < kColumns; ++c) sums[c] = S::zero();
  const auto fetch = [&ahead] {
    for (int i = 0; i < ahead.bytes; i += 64) __builtin_prefetch(ahead.from + i, 0, 2);
    ahead.from += ahead.bytes;
  };
  if constexpr (Fmt::kSubs == 1) {
    for (int b = 0; b < blocks; ++b, w += Fmt::kBytes) {
      const int k = b % kGroupBlocks;
      fetch();
      block_columns<S, Fmt, 0, kColumns>(sums, w, 0, group, k, t.x_stride);
      if (k == kGroupBlocks - 1) group += sizeof(ActivationGroup);
    }
  } else {
    for (int b = 0; b < blocks; b += kGroupBlocks, group += sizeof(ActivationGroup)) {
      const int part = b / kGroupBlocks % 2;
      fetch();
      block_columns<S, Fmt, 0, kColumns>(sums, w, part, group, 0, t.x_stride);
      fetch();
      block_columns<S, Fmt, 1, kColumns>(sums, w, part, group, 1, t.x_stride);
      fetch();
      block_columns<S, Fmt, 2, kColumns>(sums, w, part, group, 2, t.x_stride);
      fetch();
      block_columns<S, Fmt, 3, kColumns>(sums, w, part, group, 3, t.x_stride);
      if (part == 1) w += Fmt::kBytes;
    }
  }
#pragma GCC unroll 16
  for (int c = 0; c < kColumns; ++c) put<S>(t, row, column + c, sums[c]);
}

// Calls pass.template operator()<n>(column) with tiles of at most kTile rows of x that cover all m: full ones and then the largest that fit.
template <int kTile, class Pass>
inline void for_column_tiles(int m, Pass pass, int column = 0) {
  for (; column + kTile <= m; column += kTile) pass.template operator()<kTile>(column);
  if constexpr (kTile > 1) {
    constexpr int kNext = kTile > 4 ? kTile - 2 : kTile - 1;
    if (column < m) for_column_tiles<kNext>(m, pass, column);
  }
}

template <int kTile>
constexpr int count_column_tiles(int m) {
  int count = 0;
  for_column_tiles<kTile>(m, [&]<int kColumns>(int) { ++count; });
  return count;
}

// Calls pass.template operator()<n>(first panel, row, column, panels, ahead) for every `kTogether` panels and tile of rows of x. `steps`:
// how often a pass over a panel fetches, which it does from as far into the panels that follow.
template <int kTile, int kTogether, class Pass>
inline void for_panels(const MatmulTile& t, int steps, Pass pass) {
  const std::size_t bytes = panel_bytes(t.dtype, t.cols);
  const auto* w = reinterpret_cast<const Byte*>(t.w);
  const int passes = count_column_tiles<kTile>(t.m);
  const int per_step = static_cast<int>((bytes / static_cast<std::size_t>(passes * steps) + 63) / 64) * 64;
  const std::size_t per_pass = static_cast<std::size_t>(per_step) * static_cast<std::size_t>(steps);
  for (int row = 0; row < t.rows; row += kTogether * kPanelRows, w += kTogether * bytes) {
    const int left = (t.rows - row + kPanelRows - 1) / kPanelRows;
    std::size_t fetched = left > kTogether ? 0 : bytes;
    for_column_tiles<kTile>(t.m, [&]<int kColumns>(int column) {
      const Ahead ahead = {w + kTogether * bytes + fetched, fetched < bytes ? per_step : 0};
      fetched += per_pass;
      pass.template operator()<kColumns>(w, row, column, left < kTogether ? left : kTogether, ahead);
    });
  }
}

template <class S, DType type>
void block_matmul(const MatmulTile& t) {
  for_panels<S::kColumnTile, 1>(t, t.cols / kBlock, [&]<int kColumns>(const Byte* w, int row, int column, int, Ahead ahead) {
    packed_columns<S, Format<S, type>, kColumns>(t, w, row, column, ahead);
  });
}

}  // namespace
}  // namespace stoa::models

#endif
