#include "models/engine/encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "infra/files/mapped_file.h"

namespace stoa::models {
namespace {

template <class T>
void grow(std::vector<T>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
}

// A zero vector stays one.
void to_unit_length(std::span<float> vector) {
  double squares = 0;
  for (const float value : vector) squares += static_cast<double>(value) * value;
  const auto scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
  for (float& value : vector) value *= scale;
}

}  // namespace

// Fills an encoder from a file, under the file's names.
class Encoder::Loader {
 public:
  Loader(const TensorSource& source, EncoderNames names, Encoder& into) : source_(source), gguf_(names == EncoderNames::kGguf), to_(into) {
    for (const char* prefix : {"bert.", "roberta."})
      if (source.has(std::string(prefix) + "embeddings.word_embeddings.weight")) prefix_ = prefix;
  }

  Status run() {
    STOA_CHECK(embeddings());
    to_.layers_.resize(static_cast<std::size_t>(c_.layers));
    for (int i = 0; i < c_.layers; ++i) STOA_CHECK(layer(i, to_.layers_[static_cast<std::size_t>(i)]));
    return c_.labels == 0 ? Status{} : head();
  }

 private:
  Status embeddings() {
    const std::string at = prefix_ + "embeddings.";
    STOA_TRY(words, source_.matrix(gguf_ ? "token_embd.weight" : at + "word_embeddings.weight", c_.vocabulary, c_.width));
    to_.words_ = words;
    STOA_TRY(positions, source_.matrix(gguf_ ? "position_embd.weight" : at + "position_embeddings.weight", c_.positions + c_.first_position, c_.width));
    to_.positions_ = positions;
    STOA_TRY(types, source_.matrix(gguf_ ? "token_types.weight" : at + "token_type_embeddings.weight", c_.token_types, c_.width));
    const int used = std::min(c_.token_types, 2);
    to_.token_types_.resize(static_cast<std::size_t>(used) * static_cast<std::size_t>(c_.width));
    constexpr std::array kTypes = {0, 1};
    to_.compute_->lookup(types, std::span(kTypes).first(static_cast<std::size_t>(used)), to_.token_types_.data(), c_.width);
    return norm(gguf_ ? "token_embd_norm" : at + "LayerNorm", to_.embedding_norm_);
  }

  Status layer(int index, Layer& into) {
    const std::string at = gguf_ ? fmt::format("blk.{}.", index) : fmt::format("{}encoder.layer.{}.", prefix_, index);
    const auto name = [&](const char* gguf, const char* hugging_face) { return at + (gguf_ ? gguf : hugging_face); };
    STOA_CHECK(dense(name("attn_q", "attention.self.query"), c_.width, c_.width, into.q));
    STOA_CHECK(dense(name("attn_k", "attention.self.key"), c_.width, c_.width, into.k));
    STOA_CHECK(dense(name("attn_v", "attention.self.value"), c_.width, c_.width, into.v));
    STOA_CHECK(dense(name("attn_output", "attention.output.dense"), c_.width, c_.width, into.attention_output));
    STOA_CHECK(norm(name("attn_output_norm", "attention.output.LayerNorm"), into.attention_norm));
    STOA_CHECK(dense(name("ffn_up", "intermediate.dense"), c_.feed_forward, c_.width, into.intermediate));
    STOA_CHECK(dense(name("ffn_down", "output.dense"), c_.width, c_.feed_forward, into.output));
    return norm(name("layer_output_norm", "output.LayerNorm"), into.output_norm);
  }

  // A layer with tanh on the first token, then one row for each label.
  Status head() {
    const std::string pooler = gguf_ ? "cls" : c_.roberta ? "classifier.dense" : prefix_ + "pooler.dense";
    if (!gguf_ || source_.has(pooler + ".weight")) STOA_CHECK(dense(pooler, c_.width, c_.width, to_.pooler_));
    return dense(gguf_ ? "cls.output" : c_.roberta ? "classifier.out_proj" : "classifier", c_.labels, c_.width, to_.classifier_);
  }

  Status dense(const std::string& name, int rows, int cols, Dense& into) {
    STOA_TRY(weights, source_.matrix(name + ".weight", rows, cols));
    into.weights = weights;
    STOA_TRY(bias, source_.vector(name + ".bias", rows));
    into.bias = std::move(bias);
    return {};
  }
  Status norm(const std::string& name, Norm& into) {
    STOA_TRY(weight, source_.vector(name + ".weight", c_.width));
    into.weight = std::move(weight);
    STOA_TRY(bias, source_.vector(name + ".bias", c_.width));
    into.bias = std::move(bias);
    return {};
  }

  const TensorSource& source_;
  const bool gguf_;
  std::string prefix_;
  Encoder& to_;
  const EncoderConfig& c_ = to_.config_;
};

Result<Encoder> Encoder::load(const TensorSource& source, EncoderNames names, const EncoderConfig& config, Backend& backend) {
  Encoder encoder(config, backend);
  STOA_CHECK(Loader(source, names, encoder).run());
  encoder.mapped_ = source.mapped();
  return encoder;
}

std::size_t Encoder::weight_bytes() const {
  std::size_t sum = 0;
  for (const Weights* w : {&words_, &positions_}) sum += dtype_bytes(w->dtype, static_cast<std::size_t>(w->cols)) * static_cast<std::size_t>(w->rows);
  for (const auto& layer : layers_) {
    for (const Dense* dense : layer.products()) sum += backend_.stored_bytes(dense->weights);
  }
  if (pooler_.weights.data != nullptr) sum += backend_.stored_bytes(pooler_.weights);
  return sum;
}

void Encoder::pack() {
  const auto pack = [&](Dense& dense) {
    if (const auto packed = packed_->add(dense.weights)) dense.weights = *packed;  // else as it lies in the file, slowly
  };
  for (auto& layer : layers_) {
    for (Dense* dense : layer.products()) pack(*dense);
  }
  if (pooler_.weights.data != nullptr) pack(pooler_);
  infra::drop_pages(mapped_);
  is_packed_ = true;
}

void Encoder::norm(const Norm& norm, float* rows) {
  const auto& c = config_;
  compute_->layer_norm(rows, c.width, norm.weight.data(), norm.bias.data(), c.norm_epsilon, rows_, c.width, rows, c.width);
}

void Encoder::multiply(const Dense& dense, const float* x, float* y, bool accumulate) {
  const Product product{.w = &dense.weights, .y = y, .y_stride = dense.weights.rows, .bias = dense.bias.data(), .accumulate = accumulate};
  compute_->matmul(x, dense.weights.cols, rows_, dense.weights.cols, {&product, 1});
}

void Encoder::encode(std::span<const EncoderInput> inputs, float* out) {
  run_layers(inputs, layers_.size());
  const auto width = static_cast<std::size_t>(config_.width);
  const float* row = hidden_.data();
  for (const auto& input : inputs) {
    std::fill_n(out, width, 0.0f);
    for (std::size_t i = 0; i < input.tokens.size(); ++i, row += width) {
      for (std::size_t d = 0; d < width; ++d) out[d] += row[d];
    }
    to_unit_length(std::span(out, width));  // the mean's divisor cancels
    out += width;
  }
}

void Encoder::encode_tokens(std::span<const EncoderInput> inputs, float* out) {
  run_layers(inputs, std::max<std::size_t>(layers_.size(), 2) - 1);
  const auto width = static_cast<std::size_t>(config_.width);
  for (std::size_t row = 0; row < static_cast<std::size_t>(rows_); ++row) {
    std::copy_n(hidden_.data() + row * width, width, out + row * width);
    to_unit_length(std::span(out + row * width, width));
  }
}

void Encoder::run_layers(std::span<const EncoderInput> inputs, std::size_t count) {
  if (!is_packed_) pack();
  embed_tokens(inputs);
  prepare_pages(inputs);
  for (const auto& layer : std::span(layers_).first(count)) {
    attend(layer, false);
    feed_forward(layer);
  }
}

void Encoder::classify(std::span<const EncoderInput> inputs, float* out) {
  if (!is_packed_) pack();
  embed_tokens(inputs);
  prepare_pages(inputs);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    attend(layers_[i], i + 1 == layers_.size());
    feed_forward(layers_[i]);
  }
  const float* pooled = hidden_.data();
  if (pooler_.weights.data != nullptr) {
    multiply(pooler_, hidden_.data(), attended_.data());
    const auto count = static_cast<std::size_t>(rows_) * static_cast<std::size_t>(config_.width);
    for (std::size_t i = 0; i < count; ++i) attended_[i] = std::tanh(attended_[i]);
    pooled = attended_.data();
  }
  multiply(classifier_, pooled, out);
}

void Encoder::embed_tokens(std::span<const EncoderInput> inputs) {
  std::vector<std::int32_t> tokens, positions;
  for (const auto& input : inputs) {
    tokens.insert(tokens.end(), input.tokens.begin(), input.tokens.end());
    for (std::size_t i = 0; i < input.tokens.size(); ++i) positions.push_back(config_.first_position + static_cast<std::int32_t>(i));
  }
  rows_ = static_cast<int>(tokens.size());
  const auto width = static_cast<std::size_t>(config_.width), rows = tokens.size();
  grow(hidden_, rows * width);
  grow(looked_up_, rows * width);
  grow(qkv_, rows * width * 3);
  grow(attended_, rows * width);
  grow(intermediate_, rows * static_cast<std::size_t>(config_.feed_forward));
  compute_->lookup(words_, tokens, hidden_.data(), config_.width);
  compute_->lookup(positions_, positions, looked_up_.data(), config_.width);
  float* row = looked_up_.data();
  for (const auto& input : inputs) {
    for (std::size_t i = 0; i < input.tokens.size(); ++i, row += width) {
      // A model with one type has it for both texts.
      const float* const type = token_types_.data() + (i >= input.second && token_types_.size() > width ? width : 0);
      for (std::size_t d = 0; d < width; ++d) row[d] += type[d];
    }
  }
  compute_->add(looked_up_.data(), hidden_.data(), static_cast<std::int64_t>(rows * width));
  norm(embedding_norm_, hidden_.data());
}

void Encoder::prepare_pages(std::span<const EncoderInput> inputs) {
  const auto& c = config_;
  layout_ = {.layers = 1, .kv_heads = c.heads, .head_dim = c.width / c.heads, .type = KvType::kF32};
  std::size_t count = 0;
  for (const auto& input : inputs) count += static_cast<std::size_t>(pages_for(static_cast<int>(input.tokens.size())));
  constexpr std::size_t kAlignment = 64;
  grow(page_memory_, count * layout_.page_bytes() + kAlignment);
  void* aligned = page_memory_.data();
  std::size_t space = page_memory_.size();
  auto* const first = static_cast<std::byte*>(std::align(kAlignment, count * layout_.page_bytes(), aligned, space));
  pages_.clear();
  for (std::size_t i = 0; i < count; ++i) pages_.push_back(first + i * layout_.page_bytes());

  sequences_.clear();
  std::int64_t row = 0;
  std::size_t page = 0;
  for (const auto& input : inputs) {
    const int rows = static_cast<int>(input.tokens.size());
    sequences_.push_back({.q = qkv_.data() + row * c.width * 3,
                          .out = attended_.data() + row * c.width,
                          .q_stride = c.width * 3,
                          .out_stride = c.width,
                          .rows = rows,
                          .first_position = 0,
                          .pages = pages_.data() + page});
    row += rows;
    page += static_cast<std::size_t>(pages_for(rows));
  }
}

// What stands on the first tokens alone needs no other rows once keys and values are stored: the batch shrinks to one row an input.
void Encoder::keep_first_rows() {
  const auto width = static_cast<std::size_t>(config_.width);
  std::size_t row = 0;
  for (std::size_t i = 0; i < sequences_.size(); ++i) {
    auto& sequence = sequences_[i];
    std::copy_n(hidden_.data() + row * width, width, hidden_.data() + i * width);
    row += static_cast<std::size_t>(sequence.rows);
    sequence.out = attended_.data() + i * width;
    // It sees all positions up to its own; the order of the others does not matter without a causal mask.
    sequence.first_position = sequence.rows - 1;
    sequence.rows = 1;
  }
  rows_ = static_cast<int>(sequences_.size());
}

void Encoder::attend(const Layer& layer, bool first_rows) {
  const auto& c = config_;
  const std::int64_t width = c.width, stride = width * 3;
  float* const q = qkv_.data();
  const auto product = [stride](const Dense& dense, float* y) { return Product{.w = &dense.weights, .y = y, .y_stride = stride, .bias = dense.bias.data()}; };
  const std::array qkv = {product(layer.q, q), product(layer.k, q + width), product(layer.v, q + 2 * width)};
  compute_->matmul(hidden_.data(), width, rows_, c.width, qkv);
  std::size_t first = 0;
  for (const auto& sequence : sequences_) {
    compute_->store_kv(layout_, 0, pages_.data() + first, 0, sequence.rows, sequence.q + width, stride, sequence.q + 2 * width,
                      stride);
    first += static_cast<std::size_t>(pages_for(sequence.rows));
  }
  if (first_rows) keep_first_rows();
  const AttentionShape shape{
      .heads = c.heads, .layer = 0, .scale = 1.0f / std::sqrt(static_cast<float>(layout_.head_dim)), .causal = false};
  compute_->attention(layout_, shape, sequences_);
  multiply(layer.attention_output, attended_.data(), hidden_.data(), true);
  norm(layer.attention_norm, hidden_.data());
}

void Encoder::feed_forward(const Layer& layer) {
  multiply(layer.intermediate, hidden_.data(), intermediate_.data());
  compute_->gelu(intermediate_.data(), std::int64_t{rows_} * config_.feed_forward, config_.gelu_tanh);
  multiply(layer.output, intermediate_.data(), hidden_.data(), true);
  norm(layer.output_norm, hidden_.data());
}

}  // namespace stoa::models
