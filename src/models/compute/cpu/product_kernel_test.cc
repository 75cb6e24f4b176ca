#include "models/compute/cpu/product_kernel.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "models/compute/cpu/tile_choice.h"

namespace stoa::models {
namespace {

TEST(ProductKernel, NamesInputsAndInstructions) {
  EXPECT_EQ(product_kernel(Isa::kPlain, DType::kF32), "float32, scalar");
  EXPECT_EQ(product_kernel(Isa::kAvx2, DType::kQ4_0), "8-bit integers, AVX2");
  EXPECT_EQ(product_kernel(Isa::kAvx512, DType::kQ6_K), "8-bit integers, AVX-512 VNNI");
  EXPECT_EQ(product_kernel(Isa::kAvx512, DType::kBF16), "bfloat16, AVX-512");
  EXPECT_EQ(product_kernel(Isa::kAvx512Bf16, DType::kBF16), "bfloat16, AVX-512 BF16");
  EXPECT_EQ(product_kernel(Isa::kAvx512Bf16, DType::kF16), "float32, AVX-512");
  const auto tiles = [](DType dtype) {
    const int rows = tile_rows(Isa::kAmx).of(dtype);
    return rows == TileRows::kNever ? std::string() : fmt::format("bfloat16 tiles, AMX, from {} rows; ", rows);
  };
  EXPECT_TRUE(product_kernel(Isa::kAmx, DType::kQ4_0).starts_with(tiles(DType::kQ4_0) + "8-bit integers, AVX-512 VNNI"));
  EXPECT_TRUE(product_kernel(Isa::kAmx, DType::kBF16).starts_with(tiles(DType::kBF16) + "bfloat16, AVX-512 BF16"));
  EXPECT_EQ(product_kernel(Isa::kAmx, DType::kF32), "float32, AVX-512");
  for (const Isa isa : supported_isas())
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_K}) EXPECT_GT(product_kernel(isa, dtype).size(), 10u);
}

}  // namespace
}  // namespace stoa::models
