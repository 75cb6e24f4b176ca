// What AMX adds to the kernels for AVX-512 with BF16: products with many rows of x in tile registers of 16 rows by 64 bytes, and attention of
// many rows (amx_attention.h). See kernels.h for what they compute, and kernels_avx512.cc for how such a file is compiled.
//
// Two blocks of 16 rows of x times two panels are four sums in tile registers, which take four loads for four multiplications: a load costs
// half as much (8 cycles from the L1 cache, against 16). Of cols, a chunk at a time: the two panels of a chunk are expanded to bfloat16 in
// 32 KiB, which stay in the L1 cache while all rows of x pass from the L2 cache; between the chunks the sums wait in memory.
#include "models/compute/cpu/amx_tiles.h"

#include "models/compute/cpu/amx_attention.h"
#include "models/compute/cpu/kernel_tables.h"
#include "models/compute/cpu/simd_matmul.h"

namespace stoa::models {
namespace {

constexpr int kStep = 32;                      // columns in a tile of x, or of weights
constexpr int kChunkSteps = kTileChunk / kStep;
constexpr int kPairBytes = 2 * kTileBytes;     // a step of two blocks of x, or of two panels
constexpr int kSumFloats = 4 * kTileBytes / 4;  // the sums of two blocks and two panels

// Weights as they are stored, not shifted up.
struct Unlifted : Avx512 {
  static constexpr bool kWide = false;
};

// Where the bytes of pair j of a row's four come from when each becomes one of the upper two bytes of a 32-bit number, of rows 0-7 and 8-15.
struct alignas(64) PairBytes {
  std::uint8_t at[2][2][64] = {};
  constexpr PairBytes() {
    for (int j = 0; j < 2; ++j) {
      for (int i = 0; i < 32; ++i) at[j][i / 16][4 * (i % 16) + 2] = at[j][i / 16][4 * (i % 16) + 3] = static_cast<std::uint8_t>(4 * (i / 2) + 2 * j + i % 2);
    }
  }
};
constexpr PairBytes kPairBytesAt;

// A factor for each row as one for each of the two numbers of eight rows.
inline void twice_each(__m512 rows, __m512 (&out)[2]) {
  const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  out[0] = _mm512_permutexvar_ps(low, rows);
  out[1] = _mm512_permutexvar_ps(_mm512_add_epi32(low, _mm512_set1_epi32(8)), rows);
}

// Stored bytes as numbers: as the top byte of an integer, which keeps the sign, or, for seven bits or fewer, as the top of a mantissa.
inline constexpr float kWhole = 0x1p24f;
inline __m512 whole_numbers(__m512i bytes, __m512i at) {
  return _mm512_cvtepi32_ps(_mm512_maskz_permutexvar_epi8(0x8888888888888888u, at, bytes));
}
inline constexpr int kAbove = 128;
inline __m512 numbers_above(__m512i bytes, __m512i at) {
  return _mm512_castsi512_ps(_mm512_mask_permutexvar_epi8(_mm512_set1_epi32(0x43000000), 0x4444444444444444u, at, bytes));
}

// 32 values of sixteen rows as a tile. Exactly what dequantize_row gives, rounded: products of integers and scales fit into float32.
template <DType type, int kSub>
inline void unpack_block(const Byte* w, int part, Byte* out) {
  using Fmt = Format<Unlifted, type>;
  constexpr int kHalves = Fmt::kHalves ? 2 : 1;
  constexpr bool kHasOffset = Fmt::kMinimum == Minimum::kOffset;
  Factors<Unlifted> f;
  Fmt::template factors<kSub>(w, part, f);
#pragma GCC unroll 2
  for (int half = 0; half < kHalves; ++half) {
    const __m512 row_scale = half == 0 ? f.scale : f.scale_high;
    __m512 scale[2], addend[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    twice_each(kHasOffset ? row_scale : _mm512_mul_ps(row_scale, _mm512_set1_ps(1 / kWhole)), scale);
    if constexpr (kHasOffset) twice_each(_mm512_mul_ps(row_scale, _mm512_set1_ps(-(kAbove + (kOffset >> Fmt::kDown)))), addend);
    if constexpr (Fmt::kMinimum == Minimum::kShared || Fmt::kMinimum == Minimum::kOwn) twice_each(f.min, addend);
#pragma GCC unroll 8
    for (int i = half * 4; i < (kHalves == 1 ? 8 : half * 4 + 4); ++i) {
      const __m512i v = Fmt::template weights<kSub>(w, part, i);
#pragma GCC unroll 2
      for (int j = 0; j < 2; ++j) {
        __m512 values[2];
#pragma GCC unroll 2
        for (int k = 0; k < 2; ++k) {
          const __m512i at = _mm512_load_si512(kPairBytesAt.at[j][k]);
          values[k] = _mm512_fmadd_ps(kHasOffset ? numbers_above(v, at) : whole_numbers(v, at), scale[k], addend[k]);
        }
        _mm512_store_si512(out + 64 * (2 * i + j), to_bf16(values[0], values[1]));
      }
    }
  }
}

template <DType type>
inline void unpack_step(const Byte* panel, int step, int, Byte* out) {
  using Fmt = Format<Unlifted, type>;
  if constexpr (Fmt::kSubs == 1) {
    unpack_block<type, 0>(panel + step * std::ptrdiff_t{Fmt::kBytes}, 0, out);
  } else {
    const Byte* w = panel + step / Fmt::kSubs * std::ptrdiff_t{Fmt::kBytes};
    const int part = step / 4 % 2;
    switch (step % 4) {
      case 0: return unpack_block<type, 0>(w, part, out);
      case 1: return unpack_block<type, 1>(w, part, out);
      case 2: return unpack_block<type, 2>(w, part, out);
      default: return unpack_block<type, 3>(w, part, out);
    }
  }
}

// These two may end in the middle of a step; zeros follow.
template <>
inline void unpack_step<DType::kBF16>(const Byte* panel, int step, int cols, Byte* out) {
  const Byte* w = panel + step * std::ptrdiff_t{kTileBytes};
  const int pairs = cols - step * kStep < kStep ? (cols - step * kStep) / 2 : kStep / 2;
  for (int i = 0; i < kStep / 2; ++i, w += 64) _mm512_store_si512(out + 64 * i, i < pairs ? _mm512_loadu_si512(w) : _mm512_setzero_si512());
}

template <>
inline void unpack_step<DType::kF16>(const Byte* panel, int step, int cols, Byte* out) {
  const Byte* w = panel + step * std::ptrdiff_t{kTileBytes};
  const int pairs = cols - step * kStep < kStep ? (cols - step * kStep) / 2 : kStep / 2;
  for (int i = 0; i < kStep / 2; ++i, w += 64) {
    const __m512i both = i < pairs ? to_bf16(Avx512::load_f16(w), Avx512::load_f16(w + 32)) : _mm512_setzero_si512();
    _mm512_store_si512(out + 64 * i, paired(both));
  }
}

// Steps first..first+count-1 of a panel as tiles, kPairBytes apart.
template <DType type>
void unpack_panel(const Byte* panel, int first, int count, int cols, Byte* out) {
  for (int step = first; step < first + count; ++step, out += kPairBytes) unpack_step<type>(panel, step, cols, out);
}

using Unpack = void (*)(const Byte* panel, int first, int count, int cols, Byte* out);

Unpack unpack_of(DType dtype) {
  switch (dtype) {
    case DType::kF16: return unpack_panel<DType::kF16>;
    case DType::kBF16: return unpack_panel<DType::kBF16>;
    case DType::kQ4_0: return unpack_panel<DType::kQ4_0>;
    case DType::kQ4_1: return unpack_panel<DType::kQ4_1>;
    case DType::kQ5_0: return unpack_panel<DType::kQ5_0>;
    case DType::kQ5_1: return unpack_panel<DType::kQ5_1>;
    case DType::kQ8_0: return unpack_panel<DType::kQ8_0>;
    case DType::kQ4_K: return unpack_panel<DType::kQ4_K>;
    case DType::kQ5_K: return unpack_panel<DType::kQ5_K>;
    case DType::kQ6_K: return unpack_panel<DType::kQ6_K>;
    default: return nullptr;
  }
}

// kBlocks (of 16 rows of x) times kPanels, over `steps` steps: sums go from `from` (or zero) to `to`.
template <int kBlocks, int kPanels>
void multiply_chunk(const Byte* x, const Byte* w, int steps, const float* from, float* to) {
  if (from == nullptr) {
    zero_tile<0>();
    if constexpr (kPanels > 1) zero_tile<1>();
    if constexpr (kBlocks > 1) zero_tile<2>();
    if constexpr (kBlocks > 1 && kPanels > 1) zero_tile<3>();
  } else {
    load_tile<0>(from);
    if constexpr (kPanels > 1) load_tile<1, kTileBytes>(from);
    if constexpr (kBlocks > 1) load_tile<2, 2 * kTileBytes>(from);
    if constexpr (kBlocks > 1 && kPanels > 1) load_tile<3, 3 * kTileBytes>(from);
  }
#pragma GCC unroll 1
  for (; steps > 0; --steps, x += kPairBytes, w += kPairBytes) {
    load_tile<6>(w);
    load_passing_tile<4>(x);
    multiply_tiles<0, 4, 6>();
    if constexpr (kPanels > 1) {
      load_tile<7, kTileBytes>(w);
      multiply_tiles<1, 4, 7>();
    }
    if constexpr (kBlocks > 1) {
      load_passing_tile<5, kTileBytes>(x);
      multiply_tiles<2, 5, 6>();
      if constexpr (kPanels > 1) multiply_tiles<3, 5, 7>();
    }
  }
  store_tile<0>(to);
  if constexpr (kPanels > 1) store_tile<1, kTileBytes>(to);
  if constexpr (kBlocks > 1) store_tile<2, 2 * kTileBytes>(to);
  if constexpr (kBlocks > 1 && kPanels > 1) store_tile<3, 3 * kTileBytes>(to);
}

// What is fetched from memory while a chunk is used: the same columns of two panels.
struct NextChunk {
  const Byte* from = nullptr;
  std::size_t bytes = 0;   // of each panel
  std::size_t stride = 0;  // from one panel to the other
  int panels = 0;
  std::size_t fetched = 0;

  void fetch(std::size_t amount) {
    const std::size_t end = fetched + amount < bytes ? fetched + amount : bytes;
    for (; fetched < end; fetched += 64) {
      for (int p = 0; p < panels; ++p) __builtin_prefetch(from + static_cast<std::size_t>(p) * stride + fetched, 0, 2);
    }
  }
};

// The sums of a pair of panels and a block of x, complete.
void put_sums(const MatmulTile& t, const float* sums, int row, int column) {
  for (int panel = 0; panel < 2 && row + panel * kPanelRows < t.rows; ++panel) {
    for (int i = 0; i < kTileRows && column + i < t.m; ++i) {
      const float* at = sums + (2 * (i / 16) + panel) * (kTileBytes / 4) + i % 16 * 16;
      put<Avx512>(t, row + panel * kPanelRows, column + i, _mm512_load_ps(at));
    }
  }
}

void matmul_tiles(const MatmulTile& t) {
  alignas(64) Byte weights[kChunkSteps * kPairBytes];
  alignas(64) float last[kSumFloats];
  const Unpack unpack = unpack_of(t.dtype);
  if (unpack == nullptr) return;  // has_tiles says so
  const auto* w = reinterpret_cast<const Byte*>(t.w);
  const auto* x = reinterpret_cast<const Byte*>(t.x);
  const int steps = (t.cols + kStep - 1) / kStep, panels = (t.rows + kPanelRows - 1) / kPanelRows, blocks = (t.m + kTileRows - 1) / kTileRows;
  const std::size_t stride = panel_bytes(t.dtype, t.cols);
  const auto offset = [&](int step) { return panel_bytes(t.dtype, step * kStep < t.cols ? step * kStep : t.cols); };
  const TileScope tiles;
  for (int first = 0; first < steps; first += kChunkSteps) {
    const int count = steps - first < kChunkSteps ? steps - first : kChunkSteps;
    const bool ends = first + count == steps;
    for (int panel = 0; panel < panels; panel += 2) {
      const int pair = panels - panel < 2 ? 1 : 2;
      const Byte* const at = w + static_cast<std::size_t>(panel) * stride;
      for (int p = 0; p < pair; ++p) unpack(at + static_cast<std::size_t>(p) * stride, first, count, t.cols, weights + p * kTileBytes);
      const int left = panels - panel - 2;
      NextChunk next = left > 0 ? NextChunk{at + 2 * stride + offset(first), offset(first + count) - offset(first), stride, left < 2 ? 1 : 2}
                                : NextChunk{w + offset(first + count), offset(first + 2 * count) - offset(first + count), stride, panels < 2 ? 1 : 2};
      const std::size_t share = next.bytes / static_cast<std::size_t>(blocks) / 64 * 64 + 64;
      for (int block = 0; block < blocks; ++block) {
        next.fetch(share);
        const Byte* from = x + static_cast<std::size_t>(block) * t.x_stride + static_cast<std::size_t>(first) * kPairBytes;
        float* const sums = steps > kChunkSteps ? t.sums + (panel / 2 * blocks + block) * std::ptrdiff_t{kSumFloats} : last;
        const float* const before = first == 0 ? nullptr : sums;
        float* const to = ends ? last : sums;
        const bool one = t.m - block * kTileRows <= kTileRows / 2;
        if (one) {
          pair == 1 ? multiply_chunk<1, 1>(from, weights, count, before, to) : multiply_chunk<1, 2>(from, weights, count, before, to);
        } else {
          pair == 1 ? multiply_chunk<2, 1>(from, weights, count, before, to) : multiply_chunk<2, 2>(from, weights, count, before, to);
        }
        if (ends) put_sums(t, last, panel * kPanelRows, block * kTileRows);
      }
    }
  }
}

void to_tiles(const float* x, std::int64_t x_stride, int rows, int cols, std::byte* out) {
  for (int i = 0; i < rows; ++i, x += x_stride) {
    std::byte* at = out + (i / 16 * kTileBytes + i % 16 * 64);
    for (int k = 0; k < cols; k += kStep, at += kPairBytes) {
      _mm512_storeu_si512(at, to_bf16(_mm512_loadu_ps(x + k), Avx512::load_n(x + k + 16, cols - k - 16)));
    }
  }
}

}  // namespace

const Kernels& amx_kernels() {
  static const Kernels table = [] {
    Kernels t = avx512_bf16_kernels();
    t.to_tiles = to_tiles;
    t.matmul_tiles = matmul_tiles;
    t.attention_tiles = attention_in_tiles;
    return t;
  }();
  return table;
}

}  // namespace stoa::models
