#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/test_weights.h"

namespace stoa::models {
namespace {

struct Shape {
  int rows;
  int cols;
};

std::string describe(Isa isa, DType dtype, Shape shape, int m) {
  return fmt::format("{} {} {}x{} m={}", isa_name(isa), dtype_info(dtype).name, shape.rows, shape.cols, m);
}

// The bound stated in kernels.h for one output.
double bound(DType dtype, const std::byte* w_row, const float* x, int cols) {
  std::vector<float> w(static_cast<std::size_t>(cols));
  dequantize_row(dtype, w_row, cols, w.data());
  double largest = 0;
  double sum = 0;
  for (int i = 0; i < cols; ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(w[static_cast<std::size_t>(i)])));
    sum += std::fabs(static_cast<double>(x[i]));
  }
  return (cols / 16.0 + 16) * 0x1p-24 * largest * sum;
}

// Tile by tile, so that plain and fast see the same quantised input.
void check_tile(Isa isa, DType dtype, Shape shape, int m, std::mt19937& random) {
  const std::vector<std::byte> weights = test::random_weights(random, dtype, shape.rows, shape.cols);
  const std::vector<float> x = test::random_floats(random, static_cast<std::size_t>(m * shape.cols));
  const std::vector<float> bias = test::random_floats(random, static_cast<std::size_t>(shape.rows));
  const int groups = groups_of(shape.cols);
  std::vector<ActivationGroup> quantized(static_cast<std::size_t>(groups * m));
  std::vector<std::uint16_t> rounded(x.size());
  for (int i = 0; i < m; ++i) kernels(Isa::kPlain).quantize(x.data() + i * shape.cols, shape.cols / kBlock * kBlock, quantized.data() + i * groups);
  kernels(Isa::kPlain).to_bf16(x.data(), rounded.data(), static_cast<int>(x.size()));
  const auto input = [&]() -> std::pair<const void*, std::size_t> {
    if (is_block_format(dtype)) return {quantized.data(), sizeof(ActivationGroup) * static_cast<std::size_t>(groups)};
    if (dtype == DType::kBF16) return {rounded.data(), sizeof(std::uint16_t) * static_cast<std::size_t>(shape.cols)};
    return {x.data(), sizeof(float) * static_cast<std::size_t>(shape.cols)};
  }();
  const std::size_t row_bytes = dtype_bytes(dtype, static_cast<std::size_t>(shape.cols));
  ThreadPool pool(1);
  PackedWeights owner(pool);
  const Weights packed = owner.add(make_weights(dtype, shape.rows, shape.cols, weights).value()).value();
  for (const bool accumulate : {false, true}) {
    const int stride = shape.rows + 3;
    std::vector<float> expected(static_cast<std::size_t>(m * stride), 0.5f);
    std::vector<float> actual = expected;
    MatmulTile tile = {.dtype = dtype, .w = packed.data, .rows = shape.rows, .cols = shape.cols, .x = static_cast<const std::byte*>(input.first),
                       .x_stride = input.second, .m = m, .y = expected.data(), .y_stride = stride, .bias = accumulate ? nullptr : bias.data(),
                       .accumulate = accumulate};
    kernels(Isa::kPlain).matmul(tile);
    tile.y = actual.data();
    kernels(isa).matmul(tile);
    for (int i = 0; i < m; ++i) {
      for (int r = 0; r < stride; ++r) {
        const auto at = static_cast<std::size_t>(i * stride + r);
        if (r >= shape.rows) {
          ASSERT_EQ(actual[at], 0.5f) << "written past the rows: " << describe(isa, dtype, shape, m);
          continue;
        }
        const double allowed = 1.1 * bound(dtype, weights.data() + static_cast<std::size_t>(r) * row_bytes, x.data() + i * shape.cols, shape.cols) + 1e-6;
        ASSERT_NEAR(actual[at], expected[at], allowed) << describe(isa, dtype, shape, m) << " row " << r << " of input " << i;
      }
    }
  }
}

TEST(Matmul, FastKernelsEqualThePlainOne) {
  std::mt19937 random(1);
  for (const Isa isa : supported_isas()) {
    if (isa == Isa::kPlain) continue;
    for (const DType dtype : test::kTypes) {
      const int block = std::max<int>(dtype_info(dtype).block_values, 16);
      for (const int m : {1, 2, 3, 4, 5, 8, 15, 16, 17}) {
        for (const Shape shape : {Shape{1, block}, Shape{3, 3 * block}, Shape{16, 4 * block}, Shape{37, 5 * block}, Shape{33, 7 * block}}) {
          check_tile(isa, dtype, shape, m, random);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// So that guessed tokens, and whoever else is in a batch, change nothing.
TEST(Matmul, RowsDoNotDependOnTheirCompany) {
  std::mt19937 random(6);
  ThreadPool pool(2);
  const int rows = 100, cols = 256, m = 29;
  const auto x = test::random_floats(random, static_cast<std::size_t>(m * cols));
  for (const DType dtype : test::kTypes) {
    const auto bytes = test::random_weights(random, dtype, rows, cols);
    PackedWeights owner(pool);
    const Weights w = owner.add(make_weights(dtype, rows, cols, bytes).value()).value();
    for (const Isa isa : supported_isas()) {
      CpuCompute compute(pool, isa, TileRows::never());  // which are another kernel: tile_matmul_test.cc
      std::vector<float> together(static_cast<std::size_t>(m * rows)), alone(together.size());
      const Product all{.w = &w, .y = together.data(), .y_stride = rows};
      compute.matmul(x.data(), cols, m, cols, {&all, 1});
      for (int i = 0; i < m; i += 1 + i % 5) {
        const int count = std::min(1 + i % 5, m - i);
        const Product some{.w = &w, .y = alone.data() + i * rows, .y_stride = rows};
        compute.matmul(x.data() + i * cols, cols, count, cols, {&some, 1});
      }
      EXPECT_EQ(alone, together) << isa_name(isa) << " " << dtype_info(dtype).name;
    }
  }
}

// With d = 0 and m = 1 the output is the sum of the inputs as the formats with a minimum see it; with d = 1, m = 0 and all q = 1 it is
// the sum that everything else sees.
TEST(Matmul, MinimumsMultiplyTheirOwnSum) {
  std::mt19937 random(5);
  const int cols = 160;
  const std::vector<float> x = test::random_floats(random, static_cast<std::size_t>(5 * cols));
  const auto groups = static_cast<std::size_t>(groups_of(cols));
  ThreadPool pool(1);
  for (const bool minimum : {false, true}) {
    std::vector<std::byte> bytes;
    for (int b = 0; b < cols / kBlock; ++b) {
      const std::uint16_t one = f32_to_f16(1.0f), head[] = {minimum ? std::uint16_t{0} : one, minimum ? one : std::uint16_t{0}};
      const auto* p = reinterpret_cast<const std::byte*>(head);
      bytes.insert(bytes.end(), p, p + sizeof head);
      bytes.insert(bytes.end(), 16, std::byte{0x11});
    }
    const Weights w = make_weights(DType::kQ4_1, 1, cols, bytes).value();
    for (const Isa isa : supported_isas()) {
      for (const int m : {1, 5}) {
        std::vector<float> y(5);
        const Product product{.w = &w, .y = y.data(), .y_stride = 1};
        CpuCompute(pool, isa).matmul(x.data(), cols, m, cols, {&product, 1});
        for (int i = 0; i < m; ++i) {
          std::vector<ActivationGroup> quantized(groups);
          kernels(isa).quantize(x.data() + i * cols, cols, quantized.data());
          double expected = 0;
          for (const ActivationGroup& g : quantized) {
            for (int b = 0; b < kGroupBlocks; ++b) expected += minimum ? g.minimum_sum[b] : g.scale[b] * g.sum[b];
          }
          EXPECT_NEAR(y[static_cast<std::size_t>(i)], expected, 1e-5) << isa_name(isa) << " m=" << m << " minimum " << minimum;
        }
      }
    }
  }
}

// Through Compute: cutting into chunks, several products of one input, threads.
TEST(Matmul, ProductsOfOneInputAreWhole) {
  std::mt19937 random(2);
  ThreadPool pool(3);
  CpuCompute plain(pool, Isa::kPlain);
  for (const Isa isa : supported_isas()) {
    CpuCompute compute(pool, isa);
    for (const int m : {1, 3, 7, 70, 200}) {
      const int cols = 256;
      const std::vector<float> x = test::random_floats(random, static_cast<std::size_t>(m * cols));
      const Shape shapes[] = {{50, cols}, {5, cols}, {100, cols}};
      const DType dtypes[] = {DType::kQ4_1, DType::kF16, DType::kQ6_K};
      std::vector<std::vector<std::byte>> bytes;
      std::vector<Weights> weights;
      std::vector<std::vector<float>> actual, expected;
      std::vector<Product> fast_products, plain_products;
      for (int p = 0; p < 3; ++p) {
        bytes.push_back(test::random_weights(random, dtypes[p], shapes[p].rows, cols));
        weights.push_back(make_weights(dtypes[p], shapes[p].rows, cols, bytes.back()).value());
        actual.emplace_back(static_cast<std::size_t>(m * shapes[p].rows), 1.0f);
        expected.push_back(actual.back());
      }
      for (std::size_t p = 0; p < 3; ++p) {
        fast_products.push_back({.w = &weights[p], .y = actual[p].data(), .y_stride = shapes[p].rows, .accumulate = p == 1});
        plain_products.push_back({.w = &weights[p], .y = expected[p].data(), .y_stride = shapes[p].rows, .accumulate = p == 1});
      }
      compute.matmul(x.data(), cols, m, cols, fast_products);
      plain.matmul(x.data(), cols, m, cols, plain_products);
      for (std::size_t p = 0; p < 3; ++p) {
        const double largest = std::fabs(*std::ranges::max_element(expected[p], {}, [](float v) { return std::fabs(v); }));
        for (std::size_t i = 0; i < actual[p].size(); ++i) {
          ASSERT_NEAR(actual[p][i], expected[p][i], 0.002 * largest) << isa_name(isa) << " m=" << m << " product " << p << " at " << i;
        }
      }
    }
  }
}

TEST(Weights, RefusesWhatKernelsCannotRead) {
  std::vector<std::byte> bytes(1000);
  struct Case {
    DType dtype;
    std::int64_t rows, cols;
    bool good;
    ErrorCode code;
  };
  const Case cases[] = {
      {DType::kQ4_1, 10, 32, true, {}},
      {DType::kQ4_1, 10, 48, false, ErrorCode::kUnsupported},
      {DType::kQ4_1, 51, 32, false, ErrorCode::kDataLoss},
      {DType::kF32, 2, 24, false, ErrorCode::kUnsupported},
      {DType::kI32, 2, 32, false, ErrorCode::kUnsupported},
      {DType::kF32, 0, 32, false, ErrorCode::kInvalidArgument},
      {DType::kF32, 2, -32, false, ErrorCode::kInvalidArgument},
      {DType::kF32, std::int64_t{1} << 40, 32, false, ErrorCode::kInvalidArgument},
      {DType::kQ6_K, 1, 256, true, {}},
      {DType::kQ6_K, 1, 288, false, ErrorCode::kUnsupported},
  };
  for (const Case& c : cases) {
    const auto made = make_weights(c.dtype, c.rows, c.cols, bytes);
    EXPECT_EQ(made.has_value(), c.good) << dtype_info(c.dtype).name << " " << c.rows << "x" << c.cols;
    if (!made) {
      EXPECT_EQ(made.error().code, c.code) << made.error().message;
    }
  }
}

TEST(Lookup, GivesTheRowsAsked) {
  std::mt19937 random(3);
  ThreadPool pool(2);
  CpuCompute compute(pool, best_isa());
  const auto bytes = test::random_weights(random, DType::kQ8_0, 9, 64);
  const Weights w = make_weights(DType::kQ8_0, 9, 64, bytes).value();
  const std::int32_t indices[] = {8, 0, 3, 3};
  std::vector<float> out(4 * 70, -1.0f);
  compute.lookup(w, indices, out.data(), 70);
  for (std::size_t i = 0; i < 4; ++i) {
    std::vector<float> row(64);
    dequantize_row(DType::kQ8_0, bytes.data() + static_cast<std::size_t>(indices[i]) * 68, 64, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), out.begin() + static_cast<std::ptrdiff_t>(i * 70)));
    EXPECT_EQ(out[i * 70 + 64], -1.0f);
  }
}

}  // namespace
}  // namespace stoa::models
