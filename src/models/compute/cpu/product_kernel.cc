#include "models/compute/cpu/product_kernel.h"

#include <fmt/format.h>

#include "models/compute/cpu/tile_choice.h"

namespace stoa::models {

namespace {

std::string direct_kernel(Isa isa, DType dtype) {
  // CpuCompute::matmul quantises the inputs of block formats, rounds those of BF16 weights, and takes the others as they are.
  if (dtype_info(dtype).block_values > 1) {
    if (isa == Isa::kPlain) return "8-bit integers, scalar";
    return isa == Isa::kAvx2 ? "8-bit integers, AVX2" : "8-bit integers, AVX-512 VNNI";
  }
  const std::string what = dtype == DType::kBF16 ? "bfloat16, " : "float32, ";
  if (isa == Isa::kPlain) return what + "scalar";
  if (isa == Isa::kAvx2) return what + "AVX2 with FMA";
  return what + (isa >= Isa::kAvx512Bf16 && dtype == DType::kBF16 ? "AVX-512 BF16" : "AVX-512");
}

}  // namespace

std::string product_kernel(Isa isa, DType dtype) {
  const int rows = tile_rows(isa).of(dtype);
  if (rows == TileRows::kNever) return direct_kernel(isa, dtype);
  return fmt::format("bfloat16 tiles, AMX, from {} rows; {} below", rows, direct_kernel(isa, dtype));
}

}  // namespace stoa::models
