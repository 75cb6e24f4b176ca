// The layout of paged keys and values. A page holds kPageTokens consecutive positions of one sequence for every layer and KV head:
//   page:  for each layer: K block, V block
//   K block: [kv_head][head_dim][kPageTokens]   transposed, so that scores of neighbouring positions fill a vector register
//   V block: [kv_head][kPageTokens][head_dim]
// Blocks of KvType::kQ8 begin with the scales of their 32 positions in float32 (an element is scale * q); q of keys is interleaved by four
// dimensions, [kv_head][head_dim / 4][kPageTokens][4], as the dot product instructions take it.
// The owner of the pages (the engine) allocates them, 64-byte aligned; the kernels only read and write through this layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stoa::models {

inline constexpr int kPageTokens = 32;

enum class KvType : std::uint8_t { kF16, kF32, kQ8 };

constexpr std::string_view kv_type_name(KvType type) { return type == KvType::kF16 ? "f16" : type == KvType::kF32 ? "f32" : "q8"; }

inline constexpr std::size_t kKvScaleBytes = kPageTokens * sizeof(float);  // of a kQ8 block

struct KvLayout {
  int layers = 1;
  int kv_heads = 1;
  int head_dim = 64;  // a multiple of 16, at most kMaxHeadDim
  KvType type = KvType::kF16;

  static constexpr int kMaxHeadDim = 256;

  constexpr std::size_t element_bytes() const { return type == KvType::kF32 ? 4 : type == KvType::kF16 ? 2 : 1; }
  constexpr std::size_t head_bytes() const {
    return static_cast<std::size_t>(head_dim) * kPageTokens * element_bytes() + (type == KvType::kQ8 ? kKvScaleBytes : 0);
  }
  constexpr std::size_t block_bytes() const { return head_bytes() * static_cast<std::size_t>(kv_heads); }
  constexpr std::size_t page_bytes() const { return block_bytes() * 2 * static_cast<std::size_t>(layers); }
  constexpr std::size_t k_offset(int layer, int head) const {
    return block_bytes() * 2 * static_cast<std::size_t>(layer) + head_bytes() * static_cast<std::size_t>(head);
  }
  constexpr std::size_t v_offset(int layer, int head) const { return k_offset(layer, head) + block_bytes(); }
};

constexpr int pages_for(int tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace stoa::models
