#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/cpu/test_amx.h"
#include "models/compute/test_weights.h"

namespace stoa::models {
namespace {

struct Case {
  int heads, kv_heads, head_dim;
  KvType type;
  bool causal;
  int window;
  std::vector<std::pair<int, int>> sequences;  // tokens in the cache before, new rows
  double softcap = 0;
};

// One sequence with its own keys and values.
struct Sequence {
  int before, rows;
  std::vector<float> k, v, q;  // k, v of all positions; q of the new rows
  std::vector<std::vector<float>> page_memory;
  std::vector<std::byte*> pages;
};

Sequence make_sequence(std::mt19937& random, const Case& c, const KvLayout& layout, int before, int rows) {
  Sequence s{before, rows, {}, {}, {}, {}, {}};
  const auto positions = static_cast<std::size_t>(before + rows);
  const auto kv_width = static_cast<std::size_t>(c.kv_heads * c.head_dim);
  s.k = test::random_floats(random, positions * kv_width);
  s.v = test::random_floats(random, positions * kv_width);
  s.q = test::random_floats(random, static_cast<std::size_t>(rows * c.heads * c.head_dim));
  for (int p = 0; p < pages_for(before + rows); ++p) {
    // Memory that was never written must not matter, whatever it holds.
    s.page_memory.emplace_back(layout.page_bytes() / 4, std::numeric_limits<float>::quiet_NaN());
    s.pages.push_back(reinterpret_cast<std::byte*>(s.page_memory.back().data()));
  }
  return s;
}

// Rows of n values after rounding each to 8 bits with one scale.
std::vector<float> in_8_bits(std::vector<float> rows, int n) {
  for (auto row = rows.begin(); row != rows.end(); row += n) {
    float largest = 0;
    for (int i = 0; i < n; ++i) largest = std::max(largest, std::fabs(row[i]));
    for (int i = 0; i < n; ++i) row[i] = largest / 127.0f * std::nearbyint(row[i] * (127.0f / largest));
  }
  return rows;
}

// Straight from the definition, in double precision, without pages.
std::vector<double> expected_output(const Case& c, const Sequence& s, float scale) {
  std::vector<double> out(s.q.size());
  std::vector<float> k = s.k, v = s.v, queries = s.q;
  for (float& value : queries) value *= scale;
  if (c.type == KvType::kQ8) {
    for (std::vector<float>* rows : {&k, &v, &queries}) *rows = in_8_bits(*rows, c.head_dim);
  }
  const int group = c.heads / c.kv_heads;
  for (int row = 0; row < s.rows; ++row) {
    for (int head = 0; head < c.heads; ++head) {
      const int position = s.before + row;
      const int end = c.causal ? position + 1 : s.before + s.rows;
      const int begin = c.window > 0 ? std::max(0, position + 1 - c.window) : 0;
      const auto at = [&](const std::vector<float>& kv, int p, int d) {
        const float value = kv[static_cast<std::size_t>((p * c.kv_heads + head / group) * c.head_dim + d)];
        return static_cast<double>(c.type == KvType::kF16 ? f16_to_f32(f32_to_f16(value)) : value);
      };
      const std::size_t q = static_cast<std::size_t>((row * c.heads + head) * c.head_dim);
      double total = 0;
      for (int p = begin; p < end; ++p) {
        double score = 0;
        for (int d = 0; d < c.head_dim; ++d) score += queries[q + static_cast<std::size_t>(d)] * at(k, p, d);
        if (c.softcap > 0) score = c.softcap * std::tanh(score / c.softcap);
        const double weight = std::exp(score);
        total += weight;
        for (int d = 0; d < c.head_dim; ++d) out[q + static_cast<std::size_t>(d)] += weight * at(v, p, d);
      }
      for (int d = 0; d < c.head_dim; ++d) out[q + static_cast<std::size_t>(d)] /= total;
    }
  }
  return out;
}

void check(const Case& c, Isa isa, std::mt19937& random) {
  ThreadPool pool(2);
  CpuCompute compute(pool, isa);
  const KvLayout layout{.layers = 2, .kv_heads = c.kv_heads, .head_dim = c.head_dim, .type = c.type};
  std::vector<Sequence> sequences;
  for (const auto& [before, rows] : c.sequences) sequences.push_back(make_sequence(random, c, layout, before, rows));
  const int kv_width = c.kv_heads * c.head_dim;
  const int width = c.heads * c.head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim));
  std::vector<std::vector<float>> outputs;
  std::vector<AttentionSequence> calls;
  for (Sequence& s : sequences) {
    // In two steps, as an engine would: what was there before, then the new rows.
    compute.store_kv(layout, 1, s.pages.data(), 0, s.before, s.k.data(), kv_width, s.v.data(), kv_width);
    compute.store_kv(layout, 1, s.pages.data(), s.before, s.rows, s.k.data() + s.before * kv_width, kv_width, s.v.data() + s.before * kv_width, kv_width);
    outputs.emplace_back(s.q.size());
  }
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    calls.push_back({.q = sequences[i].q.data(), .out = outputs[i].data(), .q_stride = width, .out_stride = width, .rows = sequences[i].rows,
                     .first_position = sequences[i].before, .pages = sequences[i].pages.data()});
  }
  compute.attention(layout, {.heads = c.heads, .layer = 1, .scale = scale, .causal = c.causal, .window = c.window, .softcap = static_cast<float>(c.softcap)}, calls);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<double> expected = expected_output(c, sequences[i], scale);
    // Tile registers take weights and values in bfloat16.
    const float largest = std::fabs(*std::ranges::max_element(sequences[i].v, {}, [](float v) { return std::fabs(v); }));
    const double rounding = isa == Isa::kAmx && c.type == KvType::kF16 ? 0x1p-8 * largest : 0;
    for (std::size_t j = 0; j < expected.size(); ++j) {
      ASSERT_NEAR(outputs[i][j], expected[j], 4e-5 + rounding) << isa_name(isa) << " heads " << c.heads << "/" << c.kv_heads << " dim " << c.head_dim << " sequence " << i << " at " << j;
    }
  }
}

TEST(Attention, EqualsTheDefinition) {
  const Case cases[] = {
      {9, 3, 64, KvType::kF16, true, 0, {{0, 1}, {31, 1}, {32, 1}, {100, 1}}},
      {9, 3, 64, KvType::kF16, true, 0, {{0, 77}, {50, 3}, {5, 30}}},
      {14, 2, 64, KvType::kF32, true, 0, {{0, 40}, {64, 1}}},
      {4, 4, 80, KvType::kF16, true, 0, {{3, 35}}},
      {4, 1, 96, KvType::kF32, true, 0, {{10, 9}}},
      {8, 2, 128, KvType::kF16, true, 0, {{40, 6}}},
      {40, 1, 16, KvType::kF16, true, 0, {{7, 3}}},
      {12, 12, 32, KvType::kF32, false, 0, {{0, 50}, {0, 1}, {0, 33}}},
      {6, 2, 64, KvType::kF16, true, 40, {{0, 100}, {90, 1}, {200, 5}}},
      {2, 2, 256, KvType::kF16, true, 0, {{20, 20}}},
      {4, 2, 64, KvType::kF16, true, 40, {{0, 70}, {90, 1}}, 0.7},
      {6, 2, 64, KvType::kQ8, true, 0, {{0, 170}}, 0.7},
      {7, 1, 64, KvType::kF16, true, 0, {{128, 1}, {127, 1}, {300, 2}}},
      {9, 3, 64, KvType::kQ8, true, 0, {{0, 1}, {31, 1}, {32, 1}, {100, 1}}},
      {14, 2, 64, KvType::kQ8, true, 0, {{0, 77}, {150, 3}, {5, 30}}},
      {4, 4, 80, KvType::kQ8, true, 0, {{3, 35}}},
      {6, 2, 128, KvType::kQ8, true, 40, {{0, 100}, {90, 1}, {200, 5}}},
      {8, 2, 128, KvType::kF16, true, 0, {{40, 60}}},
      {4, 1, 96, KvType::kF16, true, 0, {{130, 19}}},
      {12, 12, 32, KvType::kF16, false, 0, {{0, 50}, {0, 33}}},
      {5, 1, 32, KvType::kF16, true, 0, {{3, 16}}},
  };
  std::mt19937 random(9);
  const test::AmxEmulator emulator;
  for (const Isa isa : test::isas_with_amx()) {
    for (const Case& c : cases) {
      check(c, isa, random);
      if (HasFatalFailure()) return;
    }
  }
}

// Scores far apart and large: the running maximum must keep everything finite.
TEST(Attention, LargeScoresStayFinite) {
  const KvLayout layout{.layers = 1, .kv_heads = 1, .head_dim = 16, .type = KvType::kF32};
  ThreadPool pool(1);
  for (const Isa isa : supported_isas()) {
    CpuCompute compute(pool, isa);
    const int positions = 70;
    std::vector<float> k(positions * 16), v(positions * 16), q(16, 1.0f), out(16);
    for (int p = 0; p < positions; ++p) {
      std::fill_n(k.begin() + p * 16, 16, static_cast<float>(p) * 10.0f);
      std::fill_n(v.begin() + p * 16, 16, static_cast<float>(p));
    }
    std::vector<std::vector<float>> memory(3, std::vector<float>(layout.page_bytes() / 4));
    std::vector<std::byte*> pages;
    for (auto& page : memory) pages.push_back(reinterpret_cast<std::byte*>(page.data()));
    compute.store_kv(layout, 0, pages.data(), 0, positions, k.data(), 16, v.data(), 16);
    const AttentionSequence call{.q = q.data(), .out = out.data(), .q_stride = 16, .out_stride = 16, .rows = 1, .first_position = positions - 1, .pages = pages.data()};
    compute.attention(layout, {.heads = 1, .scale = 1.0f}, {&call, 1});
    for (const float value : out) EXPECT_FLOAT_EQ(value, positions - 1.0f) << isa_name(isa);
  }
}

// With scores of hundreds, which outlier keys give, a score rounded to bfloat16 would be wrong by one or more.
TEST(Attention, LargeScoresAreExact) {
  const KvLayout layout{.layers = 1, .kv_heads = 1, .head_dim = 32, .type = KvType::kF16};
  const int rows = 48, dim = 32;
  std::mt19937 random(21);
  std::vector<float> k = test::random_floats(random, static_cast<std::size_t>(rows * dim)), q = k, v(k.size());
  for (std::size_t i = 0; i < k.size(); ++i) {
    k[i] += i % dim == 3 ? 150.0f : 0.0f;
    q[i] = 0.5f * q[i] + (i % dim == 3 ? 3.0f : 0.0f);
    v[i] = static_cast<float>(i / dim % 8);
  }
  const Case c = {.heads = 1, .kv_heads = 1, .head_dim = dim, .type = KvType::kF16, .causal = true, .window = 0, .sequences = {}};
  ThreadPool pool(1);
  const test::AmxEmulator emulator;
  for (const Isa isa : test::isas_with_amx()) {
    CpuCompute compute(pool, isa);
    Sequence s = make_sequence(random, c, layout, 0, rows);
    s.k = k, s.q = q, s.v = v;
    compute.store_kv(layout, 0, s.pages.data(), 0, rows, k.data(), dim, v.data(), dim);
    std::vector<float> out(q.size());
    const AttentionSequence call{.q = q.data(), .out = out.data(), .q_stride = dim, .out_stride = dim, .rows = rows, .first_position = 0, .pages = s.pages.data()};
    compute.attention(layout, {.heads = 1, .scale = 1.0f}, {&call, 1});
    const std::vector<double> expected = expected_output(c, s, 1.0f);
    for (std::size_t i = 0; i < out.size(); ++i) ASSERT_NEAR(out[i], expected[i], isa == Isa::kAmx ? 7 * 0x1p-8 : 2e-3) << isa_name(isa) << " at " << i;
  }
}

}  // namespace
}  // namespace stoa::models
