// For tests: a small BERT with random weights as the three files of a model folder, and its plain forward pass.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"

namespace stoa::models {

// The folder is removed with the object.
class TinyBert {
 public:
  static constexpr int kWidth = 64, kHeads = 4, kFeedForward = 128, kLayers = 2, kPositions = 40;
  using Floats = std::vector<float>;
  enum class Kind { kEmbedder, kReranker, kRobertaReranker };

  explicit TinyBert(const std::string& name, Kind kind = Kind::kEmbedder) : folder(std::filesystem::temp_directory_path() / ("stoa_bert_" + name)), kind_(kind) {
    std::filesystem::create_directories(folder);
    for (const char* token : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) vocabulary_.push_back(token);
    for (char c = 'a'; c <= 'z'; ++c) vocabulary_.push_back(std::string(1, c));
    for (char c = 'a'; c <= 'z'; ++c) vocabulary_.push_back("##" + std::string(1, c));
    write_config(1);
    write_tokenizer();
    make_weights();
    write_safetensors();
  }
  TinyBert(const TinyBert&) = delete;
  TinyBert& operator=(const TinyBert&) = delete;
  ~TinyBert() { std::filesystem::remove_all(folder); }

  const std::filesystem::path folder;

  void write(const char* name, const std::string& text) { std::ofstream(folder / name, std::ios::binary) << text; }
  void write_config(int labels) {
    JsonObject config{{"model_type", roberta() ? "roberta" : "bert"}, {"num_hidden_layers", kLayers}, {"hidden_size", kWidth}, {"num_attention_heads", kHeads},
                      {"intermediate_size", kFeedForward}, {"vocab_size", vocabulary_.size()}, {"max_position_embeddings", kPositions + offset()},
                      {"type_vocab_size", types()}, {"layer_norm_eps", 1e-12}, {"hidden_act", "gelu"}, {"pad_token_id", roberta() ? 1 : 0}};
    if (kind_ != Kind::kEmbedder) {
      config["architectures"] = JsonArray{roberta() ? "RobertaForSequenceClassification" : "BertForSequenceClassification"};
      JsonObject names;
      for (int i = 0; i < labels; ++i) names[std::to_string(i)] = "LABEL";
      config["id2label"] = std::move(names);
    }
    write("config.json", dump_json(Json(config)));
  }
  void leave_out(const std::string& tensor) {
    weights_.erase(tensor);
    write_safetensors();
  }

  // The mean of the last rows, of unit length.
  Floats embedding(const std::vector<std::int32_t>& tokens) {
    const auto rows = forward(tokens, SIZE_MAX);
    Floats mean(kWidth, 0.0f);
    for (const auto& row : rows) {
      for (std::size_t d = 0; d < kWidth; ++d) mean[d] += row[d];
    }
    double squares = 0;
    for (const float x : mean) squares += static_cast<double>(x) * x;
    for (auto& x : mean) x = static_cast<float>(x / std::sqrt(squares));
    return mean;
  }
  // Of each token, the row of the last layer but one, of unit length.
  std::vector<Floats> token_rows(const std::vector<std::int32_t>& tokens) {
    auto rows = forward(tokens, SIZE_MAX, kLayers - 1);
    for (auto& row : rows) {
      double squares = 0;
      for (const float x : row) squares += static_cast<double>(x) * x;
      for (auto& x : row) x = static_cast<float>(x / std::sqrt(squares));
    }
    return rows;
  }
  // The classifier's one logit; tokens from `second` on are of type 1 where the model has types.
  float score(const std::vector<std::int32_t>& tokens, std::size_t second) {
    Floats first = dense(forward(tokens, second).front(), pooler());
    for (auto& x : first) x = std::tanh(x);
    return dense(first, classifier()).front();
  }

 private:
  bool roberta() const { return kind_ == Kind::kRobertaReranker; }
  int offset() const { return roberta() ? 2 : 0; }  // behind the padding token's id
  int types() const { return roberta() ? 1 : 2; }
  std::string prefix() const { return kind_ == Kind::kEmbedder ? "" : roberta() ? "roberta." : "bert."; }
  const char* pooler() const { return roberta() ? "classifier.dense" : "bert.pooler.dense"; }
  const char* classifier() const { return roberta() ? "classifier.out_proj" : "classifier"; }

  void write_tokenizer() {
    JsonObject vocab;
    for (std::size_t i = 0; i < vocabulary_.size(); ++i) vocab[vocabulary_[i]] = static_cast<std::int64_t>(i);
    const std::string a = R"({"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"[SEP]","type_id":0}})";
    const std::string b = R"(,{"Sequence":{"id":"B","type_id":1}},{"SpecialToken":{"id":"[SEP]","type_id":1}})";
    const std::string frame =
        roberta() ? R"({"type":"RobertaProcessing","cls":["[CLS]",2],"sep":["[SEP]",3]})"
                  : R"({"type":"TemplateProcessing","single":[)" + a + R"(],"pair":[)" + a + b +
                        R"(],"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[2],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[3],"tokens":["[SEP]"]}}})";
    write("tokenizer.json",
          R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"[PAD]","special":true},{"id":1,"content":"[UNK]","special":true},)"
          R"({"id":2,"content":"[CLS]","special":true},{"id":3,"content":"[SEP]","special":true},{"id":4,"content":"[MASK]","special":true}],)"
          R"("normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},)"
          R"("pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":)" + frame + R"(,"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},)"
          R"("model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":)" +
              dump_json(Json(vocab)) + "}}");
  }

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
    add(prefix() + "embeddings.word_embeddings.weight", {vocabulary, kWidth}, 0, 1);
    add(prefix() + "embeddings.position_embeddings.weight", {kPositions + offset(), kWidth}, 0, 0.5f);
    add(prefix() + "embeddings.token_type_embeddings.weight", {types(), kWidth}, 0, 0.5f);
    add_norm(prefix() + "embeddings.LayerNorm");
    for (int i = 0; i < kLayers; ++i) {
      const std::string at = prefix() + "encoder.layer." + std::to_string(i) + ".";
      for (const char* name : {"query", "key", "value"}) add_dense(at + "attention.self." + name, kWidth, kWidth);
      add_dense(at + "attention.output.dense", kWidth, kWidth);
      add_norm(at + "attention.output.LayerNorm");
      add_dense(at + "intermediate.dense", kFeedForward, kWidth);
      add_dense(at + "output.dense", kWidth, kFeedForward);
      add_norm(at + "output.LayerNorm");
    }
    if (kind_ == Kind::kEmbedder) return;
    add_dense(pooler(), kWidth, kWidth);
    add_dense(classifier(), 1, kWidth);
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
  std::vector<Floats> forward(const std::vector<std::int32_t>& tokens, std::size_t second, int layers = kLayers) {
    std::vector<Floats> rows;
    const std::string at = prefix() + "embeddings.";
    const auto table = [&](const char* name, std::size_t row) { return weights_[at + name + "_embeddings.weight"].data() + row * kWidth; };
    for (std::size_t t = 0; t < tokens.size(); ++t) {
      Floats row(kWidth);
      const float* const word = table("word", static_cast<std::size_t>(tokens[t]));
      const float* const position = table("position", t + static_cast<std::size_t>(offset()));
      const float* const type = table("token_type", types() > 1 && t >= second ? 1 : 0);
      for (std::size_t d = 0; d < kWidth; ++d) row[d] = word[d] + position[d] + type[d];
      rows.push_back(norm(row, at + "LayerNorm"));
    }
    for (int i = 0; i < layers; ++i) layer(prefix() + "encoder.layer." + std::to_string(i) + ".", rows);
    return rows;
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

  const Kind kind_;
  std::vector<std::string> vocabulary_;
  std::map<std::string, Floats> weights_;
  std::map<std::string, std::vector<int>> shapes_;
};

}  // namespace stoa::models
