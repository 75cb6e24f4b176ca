// Products in tile registers (matmul_tiles), on the processor or through its emulator.
#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/test_amx.h"
#include "models/compute/dequantize.h"
#include "models/compute/test_weights.h"
#include "models/compute/thread_pool.h"
#include "models/compute/weights.h"

namespace stoa::models {
namespace {

float round_to_bf16(float value) {
  std::uint16_t half;
  kernels(Isa::kPlain).to_bf16(&value, &half, 1);
  return std::bit_cast<float>(static_cast<std::uint32_t>(half) << 16);
}

struct alignas(64) Line {
  std::byte bytes[64];
};

// Rows of x as matmul_tiles takes them; what rows are not there is NaN.
std::vector<Line> blocks_of(const float* x, int m, int cols) {
  const std::size_t block = tile_block_bytes(cols);
  const int blocks = (m + kTileRows - 1) / kTileRows;
  std::vector<Line> out(block * static_cast<std::size_t>(blocks) / sizeof(Line));
  std::memset(static_cast<void*>(out.data()), 0xff, out.size() * sizeof(Line));
  for (int b = 0; b < blocks; ++b) {
    kernels(Isa::kAmx).to_tiles(x + b * kTileRows * cols, cols, std::min(kTileRows, m - b * kTileRows), cols,
                                out.data()->bytes + static_cast<std::size_t>(b) * block);
  }
  return out;
}

void multiply(const Weights& w, const float* x, int m, float* y, int y_stride, const float* bias, bool accumulate) {
  const std::vector<Line> blocks = blocks_of(x, m, w.cols);
  std::vector<Line> sums(tile_sums(w.rows, m, w.cols) * sizeof(float) / sizeof(Line));
  kernels(Isa::kAmx).matmul_tiles({.dtype = w.dtype, .w = w.data, .rows = w.rows, .cols = w.cols, .x = blocks.data()->bytes, .x_stride = tile_block_bytes(w.cols),
                                   .m = m, .y = y, .y_stride = y_stride, .bias = bias, .accumulate = accumulate,
                                   .sums = sums.empty() ? nullptr : reinterpret_cast<float*>(sums.data())});
}

class TileMatmul : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::AmxEmulator::works()) GTEST_SKIP() << "needs AVX512_BF16 and AVX512_VBMI";
  }
  test::AmxEmulator emulator_;
};

// Against sums in double precision of the rounded numbers, with the bound of kernels.h.
void check(DType dtype, int rows, int cols, int m, std::mt19937& random) {
  const std::vector<std::byte> bytes = test::random_weights(random, dtype, rows, cols);
  std::vector<float> x = test::random_floats(random, static_cast<std::size_t>(m * cols));
  const std::vector<float> bias = test::random_floats(random, static_cast<std::size_t>(rows));
  ThreadPool pool(1);
  PackedWeights owner(pool);
  const Weights packed = owner.add(make_weights(dtype, rows, cols, bytes).value()).value();
  const int stride = rows + 3;
  std::vector<float> y[2];
  for (const bool accumulate : {false, true}) {
    y[accumulate].assign(static_cast<std::size_t>(m * stride), 0.5f);
    multiply(packed, x.data(), m, y[accumulate].data(), stride, accumulate ? nullptr : bias.data(), accumulate);
  }
  for (float& v : x) v = round_to_bf16(v);
  std::vector<float> w(static_cast<std::size_t>(cols));
  const std::size_t row_bytes = dtype_bytes(dtype, static_cast<std::size_t>(cols));
  for (int r = 0; r < stride; ++r) {
    double largest = 0;
    if (r < rows) {
      dequantize_row(dtype, bytes.data() + static_cast<std::size_t>(r) * row_bytes, cols, w.data());
      for (float& v : w) largest = std::max(largest, std::fabs(static_cast<double>(v = round_to_bf16(v))));
    }
    for (int i = 0; i < m; ++i) {
      const auto at = static_cast<std::size_t>(i * stride + r);
      if (r >= rows) {
        ASSERT_EQ(y[0][at], 0.5f) << "written past the rows";
        continue;
      }
      double sum = 0, magnitude = 0;
      for (int k = 0; k < cols; ++k) {
        const double value = x[static_cast<std::size_t>(i * cols + k)];
        sum += w[static_cast<std::size_t>(k)] * value;
        magnitude += std::fabs(value);
      }
      const double allowed = (cols / 16.0 + 16) * 0x1p-24 * largest * magnitude + 1e-6;
      const std::string where = fmt::format("{} {}x{} m={} row {} of input {}", dtype_info(dtype).name, rows, cols, m, r, i);
      ASSERT_NEAR(y[0][at], sum + bias[static_cast<std::size_t>(r)], allowed) << where;
      ASSERT_NEAR(y[1][at], sum + 0.5, allowed) << where;
    }
  }
}

TEST_F(TileMatmul, EqualsProductsOfRoundedNumbers) {
  std::mt19937 random(11);
  const std::int64_t before = test::AmxEmulator::executed();
  for (const DType dtype : test::kTypes) {
    if (!has_tiles(dtype)) continue;
    const int block = std::max<int>(dtype_info(dtype).block_values, 16);
    struct Case {
      int rows, cols, m;
    };
    // Columns that are half a tile, a whole number of chunks, more than one of them, and a chunk and a half tile.
    const Case cases[] = {{1, block, 1}, {16, 3 * block, 3}, {17, block, 15}, {32, 256, 16}, {33, 5 * block, 17}, {47, 512, 31}, {48, 768, 32},
                          {70, 1024, 33}, {5, 1280, 100}, {40, 512 + block, 48}};
    for (const Case& c : cases) {
      check(dtype, c.rows, c.cols, c.m, random);
      if (HasFatalFailure()) return;
    }
  }
  if (!detect_cpu().amx) {
    EXPECT_GT(test::AmxEmulator::executed(), before);
  }
}

// Inputs with a single one pick the weights out.
TEST_F(TileMatmul, WeightsAreRoundedOnce) {
  std::mt19937 random(14);
  const int rows = 19, cols = 256;
  std::vector<float> x(static_cast<std::size_t>(cols * cols)), w(static_cast<std::size_t>(cols)), y(static_cast<std::size_t>(cols * rows));
  for (int i = 0; i < cols; ++i) x[static_cast<std::size_t>(i * cols + i)] = 1.0f;
  ThreadPool pool(1);
  for (const DType dtype : test::kTypes) {
    if (!has_tiles(dtype)) continue;
    const auto bytes = test::random_weights(random, dtype, rows, cols);
    PackedWeights owner(pool);
    multiply(owner.add(make_weights(dtype, rows, cols, bytes).value()).value(), x.data(), cols, y.data(), rows, nullptr, false);
    for (int r = 0; r < rows; ++r) {
      dequantize_row(dtype, bytes.data() + static_cast<std::size_t>(r) * dtype_bytes(dtype, cols), cols, w.data());
      for (int i = 0; i < cols; ++i) {
        ASSERT_EQ(y[static_cast<std::size_t>(i * rows + r)], round_to_bf16(w[static_cast<std::size_t>(i)])) << dtype_info(dtype).name << " row " << r << " column " << i;
      }
    }
  }
}

TEST_F(TileMatmul, RowsDoNotDependOnTheirCompany) {
  std::mt19937 random(12);
  const int rows = 37, cols = 768, m = 53;
  const auto x = test::random_floats(random, static_cast<std::size_t>(m * cols));
  ThreadPool pool(1);
  for (const DType dtype : {DType::kF16, DType::kQ8_0, DType::kQ5_K}) {
    const auto bytes = test::random_weights(random, dtype, rows, cols);
    PackedWeights owner(pool);
    const Weights w = owner.add(make_weights(dtype, rows, cols, bytes).value()).value();
    std::vector<float> together(static_cast<std::size_t>(m * rows)), apart(together.size());
    multiply(w, x.data(), m, together.data(), rows, nullptr, false);
    for (int i = 0, count; i < m; i += count) {
      count = std::min(1 + 2 * i, m - i);
      multiply(w, x.data() + i * cols, count, apart.data() + i * rows, rows, nullptr, false);
    }
    EXPECT_EQ(together, apart) << dtype_info(dtype).name;
  }
}

// Through CpuCompute: cutting into chunks of rows and columns, several types of weights with one input, threads.
TEST_F(TileMatmul, ProductsOfOneInputAreWhole) {
  std::mt19937 random(13);
  ThreadPool pool(3);
  CpuCompute plain(pool, Isa::kPlain), with_tiles(pool, Isa::kAmx, TileRows{.blocks = 4, .f16 = 4, .bf16 = 4});
  struct Part {
    DType dtype;
    int rows;
    bool packed;
  };
  const Part parts[] = {{DType::kQ4_0, 200, true}, {DType::kF32, 20, true}, {DType::kBF16, 65, true}, {DType::kF16, 20, true}, {DType::kQ8_0, 30, false}};
  for (const auto& [m, cols] : {std::pair{3, 64}, {4, 64}, {70, 64}, {1100, 64}, {40, 1056}}) {
    const std::vector<float> x = test::random_floats(random, static_cast<std::size_t>(m * cols));
    PackedWeights owner(pool);
    std::vector<std::vector<std::byte>> bytes;
    std::vector<Weights> weights;
    std::vector<std::vector<float>> actual, expected;
    for (const Part& part : parts) {
      bytes.push_back(test::random_weights(random, part.dtype, part.rows, cols));
      const Weights w = make_weights(part.dtype, part.rows, cols, bytes.back()).value();
      weights.push_back(part.packed ? owner.add(w).value() : w);
      actual.emplace_back(static_cast<std::size_t>(m * part.rows), 1.0f);
      expected.push_back(actual.back());
    }
    std::vector<Product> tile_products, plain_products;
    for (std::size_t p = 0; p < std::size(parts); ++p) {
      tile_products.push_back({.w = &weights[p], .y = actual[p].data(), .y_stride = parts[p].rows, .accumulate = p == 1});
      plain_products.push_back({.w = &weights[p], .y = expected[p].data(), .y_stride = parts[p].rows, .accumulate = p == 1});
    }
    with_tiles.matmul(x.data(), cols, m, cols, tile_products);
    plain.matmul(x.data(), cols, m, cols, plain_products);
    for (std::size_t p = 0; p < std::size(parts); ++p) {
      // 2^-8 of the sum of magnitudes is rarely approached; the plain kernel rounds inputs to 8 bits, which costs about as much.
      const double largest = std::fabs(*std::ranges::max_element(expected[p], {}, [](float v) { return std::fabs(v); }));
      for (std::size_t i = 0; i < actual[p].size(); ++i) {
        ASSERT_NEAR(actual[p][i], expected[p][i], 0.01 * largest) << dtype_info(parts[p].dtype).name << " m=" << m << " cols=" << cols << " at " << i;
      }
    }
  }
}

TEST_F(TileMatmul, BlocksHoldRoundedRows) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  struct Case {
    float value;
    std::uint16_t expected;
  };
  // Ties go to even, the largest become infinite.
  const Case cases[] = {{1.0f, 0x3f80}, {0x1.01p0f, 0x3f80}, {0x1.03p0f, 0x3f82}, {0x1.010002p0f, 0x3f81}, {-0x1.03p0f, 0xbf82}, {0x1.ffp127f, 0x7f80},
                        {inf, 0x7f80}, {-inf, 0xff80}, {nan, 0x7fc0}, {0x1p-130f, 0}, {-0.0f, 0x8000}};
  const int cols = 48, m = 19;
  std::vector<float> x(static_cast<std::size_t>(m * cols));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = cases[i % std::size(cases)].value;
  const std::vector<Line> blocks = blocks_of(x.data(), m, cols);
  ASSERT_EQ(blocks.size() * sizeof(Line), 2u * 2048u);
  const auto* halves = reinterpret_cast<const std::uint16_t*>(blocks.data());
  for (int i = 0; i < m; ++i) {
    for (int k = 0; k < 64; ++k) {
      const std::uint16_t expected = k < cols ? cases[static_cast<std::size_t>(i * cols + k) % std::size(cases)].expected : std::uint16_t{0};
      EXPECT_EQ(halves[k / 32 * 1024 + i / 16 * 512 + i % 16 * 32 + k % 32], expected) << "row " << i << " column " << k;
    }
  }
}

}  // namespace
}  // namespace stoa::models
