// Element types of stored tensors. Block types hold `block_values` consecutive values in `block_bytes` bytes; their layouts are
// those of ggml's quantised blocks (documented with the kernels that read them, in models/compute).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stoa::models {

enum class DType : std::uint8_t {
  kF32, kF16, kBF16, kF64,
  kQ8_0, kQ4_0, kQ4_1, kQ5_0, kQ5_1, kQ4_K, kQ5_K, kQ6_K,
  kI8, kI16, kI32, kI64,
  kU8, kBool,
};

struct DTypeInfo {
  DType dtype;
  std::string_view name;     // as GGUF and safetensors tools print it: "F32", "Q4_K"
  std::uint16_t block_values;
  std::uint16_t block_bytes;
  std::int16_t gguf_id;           // ggml's type number, -1 where GGUF has none
  std::string_view safetensors;   // name in a safetensors header, empty where it has none
};

std::span<const DTypeInfo> dtype_table();
const DTypeInfo& dtype_info(DType dtype);

// Bytes of `values` elements; `values` must be a multiple of the block and the product must fit (checked by the readers).
constexpr std::size_t bytes_of(const DTypeInfo& info, std::size_t values) { return values / info.block_values * info.block_bytes; }
inline std::size_t dtype_bytes(DType dtype, std::size_t values) { return bytes_of(dtype_info(dtype), values); }

}  // namespace stoa::models
