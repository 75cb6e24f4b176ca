// The table of kernels that each instruction set fills. Engine code uses Compute (../compute.h); this is the layer below it, where one
// call does one thread's share of an operation. Each entry has a plain scalar version, which is the definition, and fast twins that
// agree with it within the bound written beside the entry (u = 2^-24, the unit roundoff of float32).
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/compute/cpu/isa.h"
#include "models/compute/cpu/packed_weights.h"
#include "models/compute/dequantize.h"
#include "models/compute/kv_cache.h"
#include "models/formats/dtype.h"

namespace stoa::models {

inline constexpr int kBlock = 32;        // values that share a scale in quantised activations
inline constexpr int kGroupBlocks = 4;   // blocks handled together
inline constexpr int kGroup = kBlock * kGroupBlocks;

// Activations of 128 consecutive inputs in 8 bits: x = scale * q with q = x * (127 / max|x|) of each block, rounded to even, and
// scale = max|x| / 127, rounded to half precision. The order of q suits weights whose nibbles hold values i and i + 16: first the
// lower halves of the four blocks, then the upper halves. Blocks beyond the end of a row are zero. The sums serve the formats with
// an offset or a minimum: sum over a block of (d q + m) x = d sum(q x) + m sum(x).
//
// What is rounded to halves follows Q8_0 and Q8_1 of ggml, so that models quantised for it give the results they were judged by.
// There K-quants have activations with one scale for 256 values; here they share these, which are finer, so that tensors of
// different formats can share one quantised input. A block with max|x| above 8.3e6 has no scale (infinity).
inline constexpr int kOffset = 128;
struct alignas(16) ActivationGroup {
  std::int8_t q[kGroup];
  float scale[kGroupBlocks];
  float sum[kGroupBlocks];                // of q, a whole number
  float minimum_sum[kGroupBlocks];        // what Q4_1 and Q5_1 multiply m with: max|x| / 127 * sum(q), rounded to half precision
  std::int32_t offset[kGroupBlocks];      // -kOffset * sum(q): what weights that are stored with this offset have too much
  std::int32_t low_offset[kGroupBlocks];  // the same of the lower 16 values (Q6_K has a scale for each 16)
};

constexpr int groups_of(int cols) { return (cols + kGroup - 1) / kGroup; }

// What the rows of x are made into for weights of a type: ActivationGroups for block formats, float32 for F32 and F16, bfloat16 values
// (rounded to even; NaN stays NaN) for BF16, as other engines do.
constexpr bool is_block_format(DType dtype) { return dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16; }

// A share of a matrix product: rows of W, in panels (packed_weights.h), times m rows of x into y (y[i * y_stride + row]).
struct MatmulTile {
  DType dtype = DType::kF32;
  const std::byte* w = nullptr;  // the panel that the first row begins
  int rows = 0;
  int cols = 0;
  const std::byte* x = nullptr;  // made by quantize or to_bf16, or float32; 64-byte aligned for block formats
  std::size_t x_stride = 0;      // in bytes
  int m = 0;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  const float* bias = nullptr;   // rows values, or none
  bool accumulate = false;
  float* sums = nullptr;         // of matmul_tiles alone: tile_sums values, 64-byte aligned, to work with
};

// Products in tile registers (matmul_tiles) take x in bfloat16, in blocks of 32 rows: for each 32 columns, sixteen rows of 64 bytes and
// then the other sixteen. Columns that the last 32 lack are zero; rows that a block lacks may be anything.
inline constexpr int kTileRows = 32;
inline constexpr int kTileChunk = 512;  // columns whose products are summed before the sums go to memory; a multiple of every block
constexpr std::size_t tile_block_bytes(int cols) { return static_cast<std::size_t>((cols + 31) / 32) * 64 * kTileRows; }
// How many sums wait for the next chunk.
constexpr std::size_t tile_sums(int rows, int m, int cols) {
  return cols <= kTileChunk ? 0 : static_cast<std::size_t>((rows + kTileRows - 1) / kTileRows) * static_cast<std::size_t>((m + kTileRows - 1) / kTileRows) * kTileRows * kTileRows;
}
constexpr bool has_tiles(DType dtype) { return dtype != DType::kF32; }  // which would lose most of its precision

// A share of attention: up to kAttentionRows (token, head) pairs that read the same KV head.
inline constexpr int kAttentionRows = 32;
struct AttentionTile {
  const float* q = nullptr;  // token t, head h at q + t * q_stride + h * head_dim
  float* out = nullptr;
  std::int64_t q_stride = 0;
  std::int64_t out_stride = 0;
  int tokens = 0;
  int heads = 0;  // tokens * heads <= kAttentionRows
  int head_dim = 0;
  int first_position = 0;  // of token 0
  int positions = 0;       // how many positions have keys; a causal row sees fewer
  bool causal = true;
  int window = 0;
  float scale = 0;
  float softcap = 0;  // > 0: a scaled score s counts as softcap * tanh(s / softcap)
  KvType type = KvType::kF16;
  const std::byte* const* pages = nullptr;
  std::size_t k_offset = 0;  // of this layer and KV head inside a page
  std::size_t v_offset = 0;
};

struct Kernels {
  // n is a multiple of 32. Exact.
  void (*quantize)(const float* x, int n, ActivationGroup* out);
  // Round to nearest even, NaN to a quiet NaN. Exact.
  void (*to_bf16)(const float* x, std::uint16_t* out, int n);
  // |fast - plain| <= (cols / 16 + 16) u max|w| sum|x| for each output, over its row of W and of (quantised, rounded) x. A row of y is
  // the same, bit for bit, whatever other rows of x it is computed with.
  void (*matmul)(const MatmulTile& tile);
  // Null where there are no tile registers. Up to kTileRows rows of x as a block for matmul_tiles, rounded to bfloat16 to even (NaN stays
  // NaN, and what is below 2^-126 becomes zero). Exact.
  void (*to_tiles)(const float* x, std::int64_t x_stride, int rows, int cols, std::byte* out);
  // The same product for many rows of x, where weights of every type (has_tiles) are rounded to bfloat16 like x: of these rounded numbers
  // within (cols / 16 + 16) u max|w| sum|x|, so of the given ones within (2^-8 + 2^-17) sum|w x| more. x_stride is that of the blocks. A
  // row of y is the same, bit for bit, whatever other rows it is computed with.
  void (*matmul_tiles)(const MatmulTile& tile);
  // The tile's softmax(q k^T scale) v: 1e-5 max|v| for scores below 80 in magnitude. With KvType::kQ8, q * scale is rounded to 8 bits with
  // one scale for each row and head, like the keys.
  void (*attention)(const AttentionTile& tile);
  // Null where there are no tile registers. The same within 2^-8 max|v| more, whatever the size of the scores, for KvType::kF16, head_dim a
  // multiple of 32, and many tokens.
  void (*attention_tiles)(const AttentionTile& tile);
  // A key or value in 8 bits: q = x * (127 / max|x|) rounded to even; returns the scale max|x| / 127. n is a multiple of 16. Exact.
  float (*quantize_kv)(const float* x, int n, std::int8_t* out);
  // Relative 1e-5 of the largest output.
  void (*rms_norm)(const float* x, const float* weight, float eps, int n, float* out);
  void (*layer_norm)(const float* x, const float* weight, const float* bias, float eps, int n, float* out);
  // Exact.
  void (*add)(const float* x, float* y, std::int64_t n);
  // Absolute 1e-6 (1 + |result|).
  void (*silu_mul)(float* gate, const float* up, std::int64_t n);
  void (*gelu_mul)(float* gate, const float* up, std::int64_t n);  // the tanh form
  void (*gelu_erf)(float* x, std::int64_t n);
  void (*gelu_tanh)(float* x, std::int64_t n);
  // x = cap * tanh(x / cap). Absolute 1e-6 (1 + cap).
  void (*softcap)(float* x, float cap, std::int64_t n);
  // Relative 1e-5.
  void (*softmax)(float* x, int n);
  // Exact: the first of the largest. NaN never wins; 0 where all are NaN.
  int (*argmax)(const float* x, int n);
  // Turns pairs of `heads` heads of head_dim; `half` angles. Exact up to fused rounding: 4u (|a| + |b|).
  void (*rope_interleaved)(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half);
  void (*rope_halves)(float* x, int heads, int head_dim, const float* cosines, const float* sines, int half);
  // Round to nearest even; exact.
  void (*to_f16)(const float* x, std::uint16_t* out, int n);
};

// The kernels of a set that supported_isas() names.
const Kernels& kernels(Isa isa);

}  // namespace stoa::models
