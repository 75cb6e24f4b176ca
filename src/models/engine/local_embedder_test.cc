#include "models/engine/local_embedder.h"

#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <numeric>
#include <random>

#include <gtest/gtest.h>

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr int kWidth = 64, kHeads = 4, kFeedForward = 128, kLayers = 2, kPositions = 40;
using Floats = std::vector<float>;

// A BERT of two layers with random weights, as the three files of a model folder.
class LocalEmbedderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::path(testing::TempDir()) / ("bert_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    std::filesystem::create_directories(folder_);
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) vocabulary_.push_back(token);
    for (char c = 'a'; c <= 'z'; ++c) vocabulary_.push_back(std::string(1, c));
    for (char c = 'a'; c <= 'z'; ++c) vocabulary_.push_back("##" + std::string(1, c));
    write("config.json", fmt::format(R"({{"model_type":"bert","num_hidden_layers":{},"hidden_size":{},"num_attention_heads":{},"intermediate_size":{},)"
                                     R"("vocab_size":{},"max_position_embeddings":{},"type_vocab_size":2,"layer_norm_eps":1e-12,"hidden_act":"gelu"}})",
                                     kLayers, kWidth, kHeads, kFeedForward, vocabulary_.size(), kPositions));
    JsonObject vocab;
    for (std::size_t i = 0; i < vocabulary_.size(); ++i) vocab[vocabulary_[i]] = static_cast<std::int64_t>(i);
    write("tokenizer.json",
          R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"[PAD]","special":true},{"id":1,"content":"[UNK]","special":true},)"
          R"({"id":2,"content":"[CLS]","special":true},{"id":3,"content":"[SEP]","special":true},{"id":4,"content":"[MASK]","special":true}],)"
          R"("normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},)"
          R"("pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},)"
          R"({"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}}],"pair":[],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},)"
          R"("[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},)"
          R"("model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":)" +
              dump_json(Json(vocab)) + "}}");
    make_weights();
    write_safetensors();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name, std::ios::binary) << text; }

  void make_weights() {
    std::mt19937 random(4);
    const auto add = [&](const std::string& name, std::vector<int> shape, float mean, float spread) {
      std::normal_distribution<float> normal(mean, spread);
      Floats values(static_cast<std::size_t>(std::accumulate(shape.begin(), shape.end(), 1, std::multiplies<>())));
      for (auto& value : values) value = normal(random);
      shapes_[name] = shape;
      weights_[name] = std::move(values);
    };
    const int vocabulary = static_cast<int>(vocabulary_.size());
    const auto add_norm = [&](const std::string& name) {
      add(name + ".weight", {kWidth}, 1, 0.1f);
      add(name + ".bias", {kWidth}, 0, 0.1f);
    };
    const auto add_dense = [&](const std::string& name, int rows, int cols) {
      add(name + ".weight", {rows, cols}, 0, 0.15f);
      add(name + ".bias", {rows}, 0, 0.1f);
    };
    add("embeddings.word_embeddings.weight", {vocabulary, kWidth}, 0, 1);
    add("embeddings.position_embeddings.weight", {kPositions, kWidth}, 0, 0.5f);
    add("embeddings.token_type_embeddings.weight", {2, kWidth}, 0, 0.5f);
    add_norm("embeddings.LayerNorm");
    for (int i = 0; i < kLayers; ++i) {
      const std::string at = "encoder.layer." + std::to_string(i) + ".";
      for (const char* name : {"query", "key", "value"}) add_dense(at + "attention.self." + name, kWidth, kWidth);
      add_dense(at + "attention.output.dense", kWidth, kWidth);
      add_norm(at + "attention.output.LayerNorm");
      add_dense(at + "intermediate.dense", kFeedForward, kWidth);
      add_dense(at + "output.dense", kWidth, kFeedForward);
      add_norm(at + "output.LayerNorm");
    }
  }

  void write_safetensors() {
    JsonObject header;
    std::string data;
    for (const auto& [name, values] : weights_) {
      JsonArray shape;
      for (const int n : shapes_[name]) shape.push_back(n);
      const auto begin = data.size();
      data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      header[name] = JsonObject{{"dtype", "F32"}, {"shape", shape}, {"data_offsets", JsonArray{begin, data.size()}}};
    }
    std::string text = dump_json(Json(header));
    while (text.size() % 8 != 0) text += ' ';
    const std::uint64_t size = text.size();
    std::string head(8, '\0');
    std::memcpy(head.data(), &size, 8);
    write("model.safetensors", head + text + data);
  }

  // The plainest forward pass, from the definition.
  Floats reference(const std::vector<std::int32_t>& tokens) {
    std::vector<Floats> rows;
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      Floats row(kWidth);
      for (std::size_t d = 0; d < kWidth; ++d) {
        row[d] = weights_["embeddings.word_embeddings.weight"][static_cast<std::size_t>(tokens[t]) * kWidth + d] +
                 weights_["embeddings.position_embeddings.weight"][t * kWidth + d] + weights_["embeddings.token_type_embeddings.weight"][d];
      }
      rows.push_back(norm(row, "embeddings.LayerNorm"));
    }
    for (int i = 0; i < kLayers; ++i) layer("encoder.layer." + std::to_string(i) + ".", rows);
    Floats mean(kWidth, 0.0f);
    for (const auto& row : rows) {
      for (std::size_t d = 0; d < kWidth; ++d) mean[d] += row[d];
    }
    double squares = 0;
    for (const float x : mean) squares += static_cast<double>(x) * x;
    for (auto& x : mean) x = static_cast<float>(x / std::sqrt(squares));
    return mean;
  }
  Floats dense(const Floats& x, const std::string& name) {
    Floats out = weights_[name + ".bias"];
    const auto& w = weights_[name + ".weight"];
    for (std::size_t r = 0; r < out.size(); ++r) {
      for (std::size_t i = 0; i < x.size(); ++i) out[r] += w[r * x.size() + i] * x[i];
    }
    return out;
  }
  Floats norm(const Floats& x, const std::string& name) {
    double mean = 0, variance = 0;
    for (const float v : x) mean += v / kWidth;
    for (const float v : x) variance += (v - mean) * (v - mean) / kWidth;
    Floats out(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      out[i] = static_cast<float>((x[i] - mean) / std::sqrt(variance + 1e-12)) * weights_[name + ".weight"][i] + weights_[name + ".bias"][i];
    }
    return out;
  }
  void layer(const std::string& at, std::vector<Floats>& rows) {
    constexpr std::size_t dim = kWidth / kHeads;
    std::vector<Floats> q, k, v;
    for (const auto& row : rows) {
      q.push_back(dense(row, at + "attention.self.query"));
      k.push_back(dense(row, at + "attention.self.key"));
      v.push_back(dense(row, at + "attention.self.value"));
    }
    for (std::size_t t = 0; t < rows.size(); ++t) {
      Floats attended(kWidth, 0.0f);
      for (std::size_t h = 0; h < kHeads; ++h) {
        Floats weight(rows.size());
        float sum = 0;
        for (std::size_t s = 0; s < rows.size(); ++s) {
          float dot = 0;
          for (std::size_t d = h * dim; d < (h + 1) * dim; ++d) dot += q[t][d] * k[s][d];
          sum += weight[s] = std::exp(dot / std::sqrt(static_cast<float>(dim)));
        }
        for (std::size_t s = 0; s < rows.size(); ++s) {
          for (std::size_t d = h * dim; d < (h + 1) * dim; ++d) attended[d] += weight[s] / sum * v[s][d];
        }
      }
      Floats x = dense(attended, at + "attention.output.dense");
      for (std::size_t d = 0; d < kWidth; ++d) x[d] += rows[t][d];
      x = norm(x, at + "attention.output.LayerNorm");
      Floats inner = dense(x, at + "intermediate.dense");
      for (auto& value : inner) value = 0.5f * value * (1 + std::erf(value / std::sqrt(2.0f)));
      Floats y = dense(inner, at + "output.dense");
      for (std::size_t d = 0; d < kWidth; ++d) y[d] += x[d];
      rows[t] = norm(y, at + "output.LayerNorm");
    }
  }

  std::filesystem::path folder_;
  std::vector<std::string> vocabulary_;
  std::map<std::string, Floats> weights_;
  std::map<std::string, std::vector<int>> shapes_;
  ThreadPool threads_{2};
  Metrics metrics_;
};

TEST_F(LocalEmbedderTest, EqualsThePlainForwardInAnyBatch) {
  for (const auto isa : supported_isas()) {
    EmbedderOptions options;
    options.isa = isa;
    options.batch_tokens = 45;  // several batches
    auto embedder = LocalEmbedder::load(folder_, "tiny-bert", options, threads_, metrics_);
    ASSERT_TRUE(embedder) << embedder.error().message;
    EXPECT_EQ((*embedder)->dimensions(), kWidth);
    EXPECT_EQ((*embedder)->max_tokens(), kPositions);
    const std::vector<std::string> texts = {"a b c", "", "hello world", std::string(200, 'x').replace(50, 1, " "), "z y x w v u t s r q p o n m l k j", "A B c"};
    const auto result = (*embedder)->embed({}, texts);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->tokens.size(), texts.size());
    EXPECT_EQ(result->tokens[0], 5);
    EXPECT_EQ(result->tokens[1], 2);
    EXPECT_GT(result->compute_micros, 0);
    const auto row = [&](std::size_t i) { return std::span(result->values).subspan(i * kWidth, kWidth); };
    const auto compare = [&](std::size_t i, const std::vector<std::int32_t>& tokens) {
      const auto expected = reference(tokens);
      for (std::size_t d = 0; d < kWidth; ++d) EXPECT_NEAR(row(i)[d], expected[d], 1e-4) << isa_name(isa) << " text " << i << " dimension " << d;
    };
    compare(0, {2, 5, 6, 7, 3});
    compare(1, {2, 3});
    EXPECT_EQ(std::vector<float>(row(0).begin(), row(0).end()), std::vector<float>(row(5).begin(), row(5).end()));  // lower-cased
  }
}

TEST_F(LocalEmbedderTest, CutsLongTextsAndKeepsTheEnd) {
  EmbedderOptions options;
  options.max_tokens = 6;
  auto embedder = LocalEmbedder::load(folder_, "tiny-bert", options, threads_, metrics_);
  ASSERT_TRUE(embedder) << embedder.error().message;
  const std::vector<std::string> texts = {"a b c d", "a b c d e f g"};
  const auto result = (*embedder)->embed({}, texts);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tokens, std::vector<int>({6, 6}));
  EXPECT_EQ(*(*embedder)->count_tokens(texts[1]), 9);
  for (std::size_t d = 0; d < kWidth; ++d) EXPECT_EQ(result->values[d], result->values[kWidth + d]);
}

TEST_F(LocalEmbedderTest, StopsForCancellationAndDeadline) {
  auto embedder = LocalEmbedder::load(folder_, "tiny-bert", {}, threads_, metrics_);
  ASSERT_TRUE(embedder);
  const std::vector<std::string> texts = {"a"};
  Call cancelled;
  cancelled.cancel.cancel();
  const auto first = (*embedder)->embed(cancelled, texts);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  Call late;
  late.deadline = Deadline::after(std::chrono::nanoseconds(-1));
  const auto second = (*embedder)->embed(late, texts);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(LocalEmbedderTest, NamesWhatIsWrongWithAFolder) {
  const auto expect = [&](ErrorCode code, const char* mentions) {
    const auto loaded = LocalEmbedder::load(folder_, "tiny-bert", {}, threads_, metrics_);
    ASSERT_FALSE(loaded) << mentions;
    EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find(mentions), std::string::npos) << loaded.error().message;
  };
  weights_.erase("encoder.layer.1.output.dense.bias");
  write_safetensors();
  expect(ErrorCode::kDataLoss, "encoder.layer.1.output.dense.bias is missing");
  std::filesystem::remove(folder_ / "model.safetensors");
  expect(ErrorCode::kNotFound, "model.safetensors");
  std::filesystem::remove(folder_ / "config.json");
  expect(ErrorCode::kNotFound, "config.json");
}

}  // namespace
}  // namespace stoa::models
