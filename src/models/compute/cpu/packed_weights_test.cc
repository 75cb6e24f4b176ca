#include "models/compute/cpu/packed_weights.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/test_weights.h"

namespace stoa::models {
namespace {

TEST(PackedWeights, HoldTheSameBytes) {
  std::mt19937 random(4);
  ThreadPool pool(3);
  for (const DType dtype : test::kTypes) {
    const int cols = 2 * std::max<int>(dtype_info(dtype).block_values, 48);
    for (const int rows : {1, 15, 16, 17, 70}) {
      const auto bytes = test::random_weights(random, dtype, rows, cols);
      PackedWeights owner(pool);
      const Weights w = make_weights(dtype, rows, cols, bytes).value();
      const auto packed = owner.add(w);
      ASSERT_TRUE(packed.has_value());
      EXPECT_TRUE(packed->packed);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(packed->data) % 64, 0u);
      const std::size_t row_bytes = dtype_bytes(dtype, static_cast<std::size_t>(cols));
      EXPECT_GE(PackedWeights::bytes_of(w), row_bytes * static_cast<std::size_t>(rows));
      std::vector<std::byte> row(row_bytes);
      for (int r = 0; r < rows; ++r) {
        unpack_row(dtype, packed->data + static_cast<std::size_t>(r / kPanelRows) * panel_bytes(dtype, cols), r % kPanelRows, cols, row.data());
        EXPECT_TRUE(std::equal(row.begin(), row.end(), bytes.begin() + static_cast<std::ptrdiff_t>(row_bytes) * r))
            << dtype_info(dtype).name << " row " << r << " of " << rows;
      }
      EXPECT_EQ(owner.add(*packed)->data, packed->data) << "packed once is enough";
    }
  }
}

// Products and lookups do not depend on whether the weights are packed.
TEST(PackedWeights, GiveTheSameResults) {
  std::mt19937 random(5);
  ThreadPool pool(2);
  CpuCompute compute(pool, best_isa());
  const int rows = 83, cols = 256, m = 9;
  const auto x = test::random_floats(random, static_cast<std::size_t>(m * cols));
  for (const DType dtype : test::kTypes) {
    const auto bytes = test::random_weights(random, dtype, rows, cols);
    const Weights weights = make_weights(dtype, rows, cols, bytes).value();
    PackedWeights owner(pool);
    const Weights packed = owner.add(weights).value();
    std::vector<float> expected(static_cast<std::size_t>(m * rows)), actual(expected.size());
    const Product in_file_order{.w = &weights, .y = expected.data(), .y_stride = rows};
    const Product in_panels{.w = &packed, .y = actual.data(), .y_stride = rows};
    compute.matmul(x.data(), cols, m, cols, {&in_file_order, 1});
    compute.matmul(x.data(), cols, m, cols, {&in_panels, 1});
    EXPECT_EQ(actual, expected) << dtype_info(dtype).name;
    const std::int32_t indices[] = {82, 0, 17};
    std::vector<float> looked_up(3 * cols), looked_up_packed(3 * cols);
    compute.lookup(weights, indices, looked_up.data(), cols);
    compute.lookup(packed, indices, looked_up_packed.data(), cols);
    EXPECT_EQ(looked_up_packed, looked_up) << dtype_info(dtype).name;
  }
}

}  // namespace
}  // namespace stoa::models
