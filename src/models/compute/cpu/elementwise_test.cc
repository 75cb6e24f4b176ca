#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/test_weights.h"

namespace stoa::models {
namespace {

constexpr int kLengths[] = {1, 7, 15, 16, 17, 31, 33, 64, 100, 576};

// `run` fills out from x with one set of kernels; fast sets must agree with the plain one within absolute + relative * |plain|,
// where `relative_to_largest` measures against the largest plain result instead.
struct Operation {
  const char* name;
  std::function<void(const Kernels&, const std::vector<float>& x, const std::vector<float>& y, std::vector<float>& out)> run;
  double absolute;
  double relative;
  bool relative_to_largest;
};

TEST(Elementwise, FastKernelsEqualThePlainOnes) {
  const Operation operations[] = {
      {"rms_norm", [](auto& k, auto& x, auto& y, auto& out) { k.rms_norm(x.data(), y.data(), 1e-5f, static_cast<int>(x.size()), out.data()); }, 0, 1e-5, true},
      {"layer_norm", [](auto& k, auto& x, auto& y, auto& out) { k.layer_norm(x.data(), y.data(), x.data(), 1e-5f, static_cast<int>(x.size()), out.data()); }, 1e-6, 1e-5, true},
      {"add", [](auto& k, auto& x, auto& y, auto& out) { out = y; k.add(x.data(), out.data(), static_cast<int>(x.size())); }, 0, 0, false},
      {"silu_mul", [](auto& k, auto& x, auto& y, auto& out) { out = x; k.silu_mul(out.data(), y.data(), static_cast<int>(x.size())); }, 1e-6, 1e-6, false},
      {"gelu_mul", [](auto& k, auto& x, auto& y, auto& out) { out = x; k.gelu_mul(out.data(), y.data(), static_cast<int>(x.size())); }, 1e-6, 1e-6, false},
      {"softcap", [](auto& k, auto& x, auto&, auto& out) { out = x; k.softcap(out.data(), 3.0f, static_cast<int>(x.size())); }, 4e-6, 0, false},
      {"gelu_erf", [](auto& k, auto& x, auto&, auto& out) { out = x; k.gelu_erf(out.data(), static_cast<int>(x.size())); }, 1e-6, 1e-6, false},
      {"gelu_tanh", [](auto& k, auto& x, auto&, auto& out) { out = x; k.gelu_tanh(out.data(), static_cast<int>(x.size())); }, 1e-6, 1e-6, false},
      {"softmax", [](auto& k, auto& x, auto&, auto& out) { out = x; k.softmax(out.data(), static_cast<int>(x.size())); }, 1e-9, 1e-5, false},
  };
  std::mt19937 random(4);
  for (const Isa isa : supported_isas()) {
    for (const Operation& operation : operations) {
      for (const int n : kLengths) {
        for (const float size : {0.1f, 1.0f, 8.0f}) {
          const auto x = test::random_floats(random, static_cast<std::size_t>(n), size);
          const auto y = test::random_floats(random, static_cast<std::size_t>(n));
          std::vector<float> expected(x.size()), actual(x.size());
          operation.run(kernels(Isa::kPlain), x, y, expected);
          operation.run(kernels(isa), x, y, actual);
          double largest = 0;
          for (const float v : expected) largest = std::max(largest, std::fabs(static_cast<double>(v)));
          for (std::size_t i = 0; i < x.size(); ++i) {
            const double scale = operation.relative_to_largest ? largest : std::fabs(static_cast<double>(expected[i]));
            ASSERT_NEAR(actual[i], expected[i], operation.absolute + operation.relative * scale)
                << operation.name << " " << isa_name(isa) << " n=" << n << " x=" << x[i];
          }
        }
      }
    }
  }
}

TEST(Elementwise, ExtremesStayFinite) {
  for (const Isa isa : supported_isas()) {
    std::vector<float> gate = {-1000, -100, -88.5f, 0, 88.5f, 100, 1000};
    std::vector<float> one(gate.size(), 1.0f);
    std::vector<float> erf = gate;
    std::vector<float> tanh = gate;
    std::vector<float> soft = gate;
    kernels(isa).silu_mul(gate.data(), one.data(), static_cast<std::int64_t>(gate.size()));
    kernels(isa).gelu_erf(erf.data(), static_cast<std::int64_t>(erf.size()));
    kernels(isa).gelu_tanh(tanh.data(), static_cast<std::int64_t>(tanh.size()));
    kernels(isa).softmax(soft.data(), static_cast<int>(soft.size()));
    for (const auto& v : {gate, erf, tanh}) {
      EXPECT_NEAR(v[0], 0, 1e-6) << isa_name(isa);
      EXPECT_NEAR(v[1], 0, 1e-6) << isa_name(isa);
      EXPECT_EQ(v[3], 0) << isa_name(isa);
      EXPECT_EQ(v[6], 1000) << isa_name(isa);
    }
    EXPECT_EQ(soft[6], 1) << isa_name(isa);
    EXPECT_EQ(soft[0], 0) << isa_name(isa);
  }
}

TEST(Argmax, FirstOfTheLargest) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  struct Case {
    std::vector<float> x;
    int expected;
  };
  std::vector<float> longer(100, -2.0f);
  longer[40] = longer[77] = 3.0f;
  const Case cases[] = {{{1}, 0}, {{-3, -1, -2}, 1}, {{2, 5, 5}, 1}, {{nan, 1, nan}, 1}, {{nan, nan}, 0}, {{-inf, -inf}, 0}, {{0, inf, 1}, 1}, {longer, 40}};
  for (const Isa isa : supported_isas()) {
    for (const Case& c : cases) EXPECT_EQ(kernels(isa).argmax(c.x.data(), static_cast<int>(c.x.size())), c.expected) << isa_name(isa);
  }
}

TEST(Quantize, AgreesWithPlainAndKeepsValues) {
  std::mt19937 random(5);
  for (const Isa isa : supported_isas()) {
    for (const int n : {32, 64, 96, 128, 160, 576}) {
      auto x = test::random_floats(random, static_cast<std::size_t>(n));
      std::fill_n(x.begin(), 32, 0.0f);  // a block of zeros has scale zero
      const auto groups = static_cast<std::size_t>(groups_of(n));
      std::vector<ActivationGroup> expected(groups), actual(groups);
      kernels(Isa::kPlain).quantize(x.data(), n, expected.data());
      kernels(isa).quantize(x.data(), n, actual.data());
      for (std::size_t g = 0; g < groups; ++g) {
        const auto same = [](const auto& a, const auto& b) { return std::equal(std::begin(a), std::end(a), std::begin(b), std::end(b)); };
        EXPECT_TRUE(same(actual[g].q, expected[g].q)) << isa_name(isa) << " n=" << n;
        EXPECT_TRUE(same(actual[g].scale, expected[g].scale)) << isa_name(isa) << " n=" << n;
        EXPECT_TRUE(same(actual[g].sum, expected[g].sum)) << isa_name(isa) << " n=" << n;
        EXPECT_TRUE(same(actual[g].low_offset, expected[g].low_offset) && same(actual[g].offset, expected[g].offset)) << isa_name(isa) << " n=" << n;
        EXPECT_TRUE(same(actual[g].minimum_sum, expected[g].minimum_sum)) << isa_name(isa) << " n=" << n;
      }
      // The value behind position 5 of the second block, where there is one.
      if (n >= 64) {
        const ActivationGroup& first = actual[0];
        EXPECT_NEAR(first.q[16 + 5] * first.scale[1], x[37], first.scale[1] * 0.51);
      }
    }
  }
}

// The largest value is 1: q = 127 x, ties to even; the scale 1/127 = 0x1.0204081p-7 has the nearest half 0x1.02p-7.
TEST(Quantize, RoundsScaleAndMinimumSumToHalves) {
  std::vector<float> x(32, 0.0f);
  x[0] = 1.0f;
  x[1] = -0.5f;            // -63.5 becomes -64
  x[2] = 2.5f / 127.0f;    // 2
  x[20] = 100.4f / 127.0f; // 100
  for (const Isa isa : supported_isas()) {
    ActivationGroup group;
    kernels(isa).quantize(x.data(), 32, &group);
    EXPECT_EQ(group.q[0], 127) << isa_name(isa);
    EXPECT_EQ(group.q[1], -64) << isa_name(isa);
    EXPECT_EQ(group.q[2], 2) << isa_name(isa);
    EXPECT_EQ(group.q[kGroup / 2 + 4], 100) << isa_name(isa);
    EXPECT_EQ(group.scale[0], 0x1.02p-7f) << isa_name(isa);
    EXPECT_EQ(group.offset[0], -kOffset * 165) << isa_name(isa);
    EXPECT_EQ(group.low_offset[0], -kOffset * 65) << isa_name(isa);
    EXPECT_EQ(group.minimum_sum[0], f16_to_f32(f32_to_f16(165 / 127.0f))) << isa_name(isa);
    EXPECT_NE(group.minimum_sum[0], group.scale[0] * group.sum[0]) << isa_name(isa);
  }
}

TEST(Rope, TurnsPairsByTheirAngle) {
  // Position 3, base 100, four dimensions: angles 3 and 0.3.
  const std::vector<float> x = {1, 2, 3, 4, 9, 9};
  const auto turned = [&](float a, float b, double angle) {
    return std::pair{a * std::cos(angle) - b * std::sin(angle), b * std::cos(angle) + a * std::sin(angle)};
  };
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    CpuCompute compute(pool, isa);
    for (const RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalves}) {
      const Rope rope(style, 4, 100.0);
      const std::int32_t positions[] = {3};
      RopeAngles angles;
      angles.set(rope, positions);
      std::vector<float> y = x;
      compute.rope(angles, y.data(), 6, 1, 6);
      const bool halves = style == RopeStyle::kHalves;
      const auto [a0, b0] = turned(x[0], x[halves ? 2 : 1], 3.0);
      const auto [a1, b1] = turned(x[halves ? 1 : 2], x[3], 0.3);
      const std::vector<double> expected = halves ? std::vector<double>{a0, a1, b0, b1, 9, 9} : std::vector<double>{a0, b0, a1, b1, 9, 9};
      for (std::size_t i = 0; i < 6; ++i) EXPECT_NEAR(y[i], expected[i], 1e-5) << isa_name(isa) << " " << i;
    }
  }
}

TEST(Rope, FactorsAndScaleDivideTheAngle) {
  const float factors[] = {2.0f, 4.0f};
  const Rope rope(RopeStyle::kHalves, 4, 10000.0, factors, 0.5);
  EXPECT_DOUBLE_EQ(rope.frequencies()[0], 0.25);
  EXPECT_DOUBLE_EQ(rope.frequencies()[1], 0.5 * 0.01 / 4);
}

TEST(Rope, FastKernelsEqualThePlainOnes) {
  std::mt19937 random(6);
  ThreadPool pool(2);
  CpuCompute plain(pool, Isa::kPlain);
  for (const Isa isa : supported_isas()) {
    CpuCompute compute(pool, isa);
    for (const RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalves}) {
      for (const int dim : {2, 16, 20, 64, 80}) {
        const int head_dim = 80, heads = 3, rows = 100;
        const Rope rope(style, dim, 10000.0);
        std::vector<std::int32_t> positions;
        for (int i = 0; i < rows; ++i) positions.push_back(i * 37);
        RopeAngles angles;
        angles.set(rope, positions);
        auto expected = test::random_floats(random, static_cast<std::size_t>(rows * heads * head_dim));
        auto actual = expected;
        plain.rope(angles, expected.data(), heads * head_dim, heads, head_dim);
        compute.rope(angles, actual.data(), heads * head_dim, heads, head_dim);
        for (std::size_t i = 0; i < actual.size(); ++i) ASSERT_NEAR(actual[i], expected[i], 2e-6) << isa_name(isa) << " dim " << dim;
      }
    }
  }
}

TEST(ToF16, EqualsPlain) {
  std::mt19937 random(8);
  for (const Isa isa : supported_isas()) {
    for (const int n : kLengths) {
      auto x = test::random_floats(random, static_cast<std::size_t>(n), 100.0f);
      x[0] = 1e-7f;
      std::vector<std::uint16_t> expected(x.size()), actual(x.size());
      kernels(Isa::kPlain).to_f16(x.data(), expected.data(), n);
      kernels(isa).to_f16(x.data(), actual.data(), n);
      EXPECT_EQ(actual, expected) << isa_name(isa) << " n=" << n;
    }
  }
}

}  // namespace
}  // namespace stoa::models
