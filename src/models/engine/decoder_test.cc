#include "models/engine/decoder.h"

#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/compute/cpu/kernels.h"
#include "models/compute/cpu/test_amx.h"
#include "models/compute/dequantize.h"
#include "models/engine/tensor_source.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

using Floats = std::vector<float>;

// The plainest forward pass: one sequence, dense float32 weights, every position computed from the definition, no cache.
class Reference {
 public:
  Reference(const GgufFile& file, const TinyModel& model) : file_(file), model_(model) {}

  Floats last_logits(const std::vector<std::int32_t>& tokens) {
    const auto width = static_cast<std::size_t>(model_.width);
    const Floats embedding = dense("token_embd.weight");
    std::vector<Floats> rows;
    for (const auto token : tokens) {
      const auto* row = embedding.data() + static_cast<std::size_t>(token) * width;
      rows.emplace_back(row, row + width);
    }
    for (int i = 0; i < model_.layers; ++i) layer("blk." + std::to_string(i) + ".", rows);
    return times(file_.tensor("output.weight") != nullptr ? dense("output.weight") : embedding, norm(rows.back(), "output_norm.weight"));
  }

 private:
  Floats dense(const std::string& name) {
    const auto* tensor = file_.tensor(name);
    if (tensor == nullptr) return {};
    const auto cols = tensor->shape.back();
    const auto rows = tensor->elements() / cols;
    Floats out(static_cast<std::size_t>(tensor->elements()));
    const auto row_bytes = dtype_bytes(tensor->dtype, static_cast<std::size_t>(cols));
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r)
      dequantize_row(tensor->dtype, tensor->data.data() + r * row_bytes, static_cast<int>(cols), out.data() + r * static_cast<std::size_t>(cols));
    return out;
  }
  static Floats times(const Floats& matrix, const Floats& x) {
    Floats out(matrix.size() / x.size());
    for (std::size_t r = 0; r < out.size(); ++r) {
      double sum = 0;
      for (std::size_t i = 0; i < x.size(); ++i) sum += static_cast<double>(matrix[r * x.size() + i]) * x[i];
      out[r] = static_cast<float>(sum);
    }
    return out;
  }
  static void plus(Floats& x, const Floats& y) {
    for (std::size_t i = 0; i < y.size(); ++i) x[i] += y[i];
  }
  Floats norm(std::span<const float> x, const std::string& name) {
    const Floats weight = dense(name);
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    const double scale = 1 / std::sqrt(squares / static_cast<double>(x.size()) + 1e-5);
    Floats out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) out[i] = static_cast<float>(x[i] * scale) * weight[i];
    return out;
  }
  void turn_and_norm(Floats& x, int position, const std::string& norm_name) {
    const auto dim = static_cast<std::size_t>(model_.head_dim);
    const Floats factors = dense("rope_freqs.weight");
    for (std::size_t begin = 0; begin < x.size(); begin += dim) {
      if (file_.tensor(norm_name) != nullptr) {
        const auto normed = norm(std::span(x).subspan(begin, dim), norm_name);
        std::ranges::copy(normed, x.begin() + static_cast<std::ptrdiff_t>(begin));
      }
      for (std::size_t i = 0; i < dim / 2; ++i) {
        const double factor = factors.empty() ? 1 : factors[i];
        const double angle = position * std::pow(10000.0, -2.0 * static_cast<double>(i) / static_cast<double>(dim)) / factor;
        const bool interleaved = model_.architecture == "llama";
        float& a = x[begin + (interleaved ? 2 * i : i)];
        float& b = x[begin + (interleaved ? 2 * i + 1 : i + dim / 2)];
        const double turned_a = a * std::cos(angle) - b * std::sin(angle), turned_b = a * std::sin(angle) + b * std::cos(angle);
        a = static_cast<float>(turned_a);
        b = static_cast<float>(turned_b);
      }
    }
  }
  void layer(const std::string& prefix, std::vector<Floats>& rows) {
    const auto dim = static_cast<std::size_t>(model_.head_dim), group = static_cast<std::size_t>(model_.heads / model_.kv_heads);
    const Floats wq = dense(prefix + "attn_q.weight"), wk = dense(prefix + "attn_k.weight"), wv = dense(prefix + "attn_v.weight"),
                 wo = dense(prefix + "attn_output.weight"), gate = dense(prefix + "ffn_gate.weight"), up = dense(prefix + "ffn_up.weight"),
                 down = dense(prefix + "ffn_down.weight");
    const Floats bq = dense(prefix + "attn_q.bias"), bk = dense(prefix + "attn_k.bias"), bv = dense(prefix + "attn_v.bias");
    std::vector<Floats> k, v;
    for (std::size_t t = 0; t < rows.size(); ++t) {
      const Floats x = norm(rows[t], prefix + "attn_norm.weight");
      Floats q = times(wq, x);
      k.push_back(times(wk, x));
      v.push_back(times(wv, x));
      plus(q, bq);
      plus(k.back(), bk);
      plus(v.back(), bv);
      turn_and_norm(q, static_cast<int>(t), prefix + "attn_q_norm.weight");
      turn_and_norm(k.back(), static_cast<int>(t), prefix + "attn_k_norm.weight");
      Floats attended(q.size(), 0.0f);
      for (std::size_t h = 0; h < static_cast<std::size_t>(model_.heads); ++h) {
        const std::size_t kv = h / group * dim;
        std::vector<double> weight(t + 1);
        for (std::size_t s = 0; s <= t; ++s) {
          double dot = 0;
          for (std::size_t d = 0; d < dim; ++d) dot += static_cast<double>(q[h * dim + d]) * k[s][kv + d];
          weight[s] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
        }
        const double sum = std::accumulate(weight.begin(), weight.end(), 0.0);
        for (std::size_t s = 0; s <= t; ++s) {
          for (std::size_t d = 0; d < dim; ++d) attended[h * dim + d] += static_cast<float>(weight[s] / sum * v[s][kv + d]);
        }
      }
      plus(rows[t], times(wo, attended));
      const Floats y = norm(rows[t], prefix + "ffn_norm.weight");
      Floats g = times(gate, y);
      const Floats u = times(up, y);
      for (std::size_t i = 0; i < g.size(); ++i) g[i] = g[i] / (1 + std::exp(-g[i])) * u[i];
      plus(rows[t], times(down, g));
    }
  }

  const GgufFile& file_;
  const TinyModel& model_;
};

// A decoder over a tiny model, with pages for a few sequences.
struct Bench {
  explicit Bench(const TinyModel& model, Isa isa = best_isa(), KvType kv_type = KvType::kF16) : bytes(model.build()), threads(2), backend(threads, isa) {
    auto parsed = GgufFile::parse(bytes, "tiny.gguf");
    EXPECT_TRUE(parsed) << parsed.error().message;
    file.emplace(std::move(*parsed));
    auto loaded = Decoder::load(*file, backend, 0, kv_type);
    EXPECT_TRUE(loaded) << loaded.error().message;
    decoder.emplace(std::move(*loaded));
    auto created = KvPool::create(decoder->kv_layout(), decoder->kv_layout().page_bytes() * 64);
    EXPECT_TRUE(created);
    pool.emplace(std::move(*created));
  }
  std::vector<PageId> pages(int tokens) {
    std::vector<PageId> out;
    EXPECT_TRUE(pool->allocate(pages_for(tokens), out));
    return out;
  }

  std::vector<std::byte> bytes;
  ThreadPool threads;
  CpuBackend backend;
  std::optional<GgufFile> file;
  std::optional<Decoder> decoder;
  std::optional<KvPool> pool;
};

std::vector<std::int32_t> some_tokens(int count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>(random() % TinyModel::kVocabulary));
  return tokens;
}

// The largest difference, as a fraction of the largest value.
double distance(std::span<const float> a, std::span<const float> b) {
  double most = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i]) - b[i]));
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
  }
  return most / largest;
}

TEST(Decoder, EqualsThePlainForwardForEveryFamilyAndType) {
  constexpr DType kTypes[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                              DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};
  const test::AmxEmulator emulator;
  std::vector<std::pair<TinyModel, Isa>> models;
  for (const auto type : kTypes) {
    TinyModel model;
    model.dtype = type;
    models.emplace_back(model, best_isa());
    const bool some = type == DType::kF16 || type == DType::kBF16 || type == DType::kQ4_0 || type == DType::kQ6_K;
    if (some && best_isa() != Isa::kAmx && test::AmxEmulator::works()) models.emplace_back(model, Isa::kAmx);
  }
  for (const char* architecture : {"llama", "qwen2", "qwen3"}) {
    TinyModel model;
    model.architecture = architecture;
    model.own_head = true;
    model.rope_factors = model.architecture == "llama";
    models.emplace_back(model, best_isa());
  }
  for (const auto& [model, isa] : models) {
    // Float weights leave only the half-precision cache; BF16 also rounds the activations to bfloat16, block types to 8 bits. Tile registers
    // take F16 weights with their activations, and attention's values, in bfloat16.
    const double bound = is_block_format(model.dtype) ? 4e-2 : isa == Isa::kAmx ? 2.5e-2 : model.dtype == DType::kBF16 ? 1.5e-2 : 4e-3;
    const auto tokens = some_tokens(37, 5);
    Bench bench(model, isa);
    const auto expected = Reference(*bench.file, model).last_logits(tokens);
    const auto pages = bench.pages(37);
    const Segment whole{.tokens = tokens, .position = 0, .pages = pages, .logit_rows = 1};
    const auto logits = bench.decoder->forward({&whole, 1}, *bench.pool);
    ASSERT_EQ(logits.size(), expected.size());
    EXPECT_LT(distance(logits, expected), bound) << model.architecture << " " << dtype_info(model.dtype).name << " " << isa_name(isa);
  }
}

TEST(Decoder, KeepsKeysAndValuesIn8BitsOnRequest) {
  for (const Isa isa : supported_isas()) {
    const TinyModel model;
    Bench bench(model, isa, KvType::kQ8);
    const auto tokens = some_tokens(37, 5);
    const KvLayout half{.layers = model.layers, .kv_heads = model.kv_heads, .head_dim = model.head_dim};
    EXPECT_LT(bench.decoder->kv_layout().page_bytes(), half.page_bytes());
    const auto expected = Reference(*bench.file, model).last_logits(tokens);
    const auto pages = bench.pages(37);
    const Segment whole{.tokens = tokens, .position = 0, .pages = pages, .logit_rows = 1};
    const auto off = distance(bench.decoder->forward({&whole, 1}, *bench.pool), expected);
    EXPECT_LT(off, 4e-2) << isa_name(isa);
    EXPECT_GT(off, 1e-4) << "8 bits are less exact than 16";
  }
}

TEST(Decoder, ChunksAndBatchesGiveWhatOneSequenceAloneGives) {
  const test::AmxEmulator emulator;
  const Isa tiles = test::AmxEmulator::works() ? Isa::kAmx : best_isa();
  for (const auto& [type, isa] : {std::pair{DType::kF32, best_isa()}, {DType::kQ4_1, best_isa()}, {DType::kQ4_1, tiles}}) {
    TinyModel model;
    model.dtype = type;
    Bench bench(model, isa);
    // With AMX the number of rows decides about the kernels, and so about rounding to 8 bits or to bfloat16.
    const double bound = isa == Isa::kAmx ? 2e-2 : 2e-3;
    const auto a = some_tokens(70, 1), b = some_tokens(41, 2), c = some_tokens(9, 3);
    const auto alone = [&](const std::vector<std::int32_t>& tokens) {
      const auto pages = bench.pages(static_cast<int>(tokens.size()));
      const Segment segment{.tokens = tokens, .position = 0, .pages = pages, .logit_rows = 1};
      const auto logits = bench.decoder->forward({&segment, 1}, *bench.pool);
      return Floats(logits.begin(), logits.end());
    };
    const Floats expected[] = {alone(a), alone(b), alone(c)};

    // The same three, a in chunks of 33, 36 and 1 beside the others.
    const auto pa = bench.pages(70), pb = bench.pages(41), pc = bench.pages(9);
    const std::span sa(a), sb(b), sc(c);
    const Segment first[] = {{.tokens = sa.first(33), .position = 0, .pages = pa}, {.tokens = sb.first(40), .position = 0, .pages = pb}};
    EXPECT_TRUE(bench.decoder->forward(first, *bench.pool).empty());
    const Segment second[] = {{.tokens = sb.subspan(40), .position = 40, .pages = pb, .logit_rows = 1},
                              {.tokens = sa.subspan(33, 36), .position = 33, .pages = pa}};
    auto logits = bench.decoder->forward(second, *bench.pool);
    EXPECT_LT(distance(logits, expected[1]), bound) << isa_name(isa);
    const Segment third[] = {{.tokens = sc, .position = 0, .pages = pc, .logit_rows = 1},
                             {.tokens = sa.subspan(69), .position = 69, .pages = pa, .logit_rows = 1}};
    logits = bench.decoder->forward(third, *bench.pool);
    EXPECT_LT(distance(logits.first(TinyModel::kVocabulary), expected[2]), bound) << isa_name(isa);
    EXPECT_LT(distance(logits.subspan(TinyModel::kVocabulary), expected[0]), bound) << isa_name(isa);
  }
}

TEST(Decoder, GivesTheLogitsOfSeveralRows) {
  Bench bench({});
  const auto tokens = some_tokens(12, 4), other = some_tokens(5, 6);
  const auto alone = [&](std::span<const std::int32_t> part) {
    const auto pages = bench.pages(static_cast<int>(part.size()));
    const Segment segment{.tokens = part, .position = 0, .pages = pages, .logit_rows = 1};
    const auto logits = bench.decoder->forward({&segment, 1}, *bench.pool);
    return Floats(logits.begin(), logits.end());
  };
  std::vector<Floats> expected = {alone(other)};
  for (std::size_t n = 10; n <= 12; ++n) expected.push_back(alone(std::span(tokens).first(n)));
  const auto pages = bench.pages(12), other_pages = bench.pages(5);
  const Segment segments[] = {{.tokens = other, .position = 0, .pages = other_pages, .logit_rows = 1},
                              {.tokens = tokens, .position = 0, .pages = pages, .logit_rows = 3}};
  const auto logits = bench.decoder->forward(segments, *bench.pool);
  ASSERT_EQ(logits.size(), 4u * TinyModel::kVocabulary);
  for (std::size_t i = 0; i < 4; ++i) EXPECT_LT(distance(logits.subspan(i * TinyModel::kVocabulary, TinyModel::kVocabulary), expected[i]), 2e-3) << i;
}

}  // namespace
}  // namespace stoa::models
