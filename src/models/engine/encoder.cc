#include "models/engine/encoder.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "models/formats/mapped_file.h"

namespace stoa::models {
namespace {

template <class T>
void grow(std::vector<T>& buffer, std::size_t size) {
  if (buffer.size() < size) buffer.resize(size);
}

}  // namespace

Result<Encoder> Encoder::load(const SafetensorsFile& file, const EncoderConfig& config, ThreadPool& threads, Isa isa) {
  const TensorSource source(file);
  const std::string prefix = source.has("bert.embeddings.word_embeddings.weight") ? "bert." : "";
  Encoder encoder(config, threads, isa);
  STOA_CHECK(encoder.load_weights(source, prefix));
  encoder.mapped_ = file.mapped();
  return encoder;
}

Status Encoder::load_weights(const TensorSource& source, const std::string& prefix) {
  const auto& c = config_;
  const auto dense = [&](const std::string& name, int rows, int cols, Dense& into) -> Status {
    STOA_TRY(weights, source.matrix(name + ".weight", rows, cols));
    into.weights = weights;
    STOA_TRY(bias, source.vector(name + ".bias", rows));
    into.bias = std::move(bias);
    return {};
  };
  const auto layer_norm = [&](const std::string& name, Norm& into) -> Status {
    STOA_TRY(weight, source.vector(name + ".weight", c.width));
    into.weight = std::move(weight);
    STOA_TRY(bias, source.vector(name + ".bias", c.width));
    into.bias = std::move(bias);
    return {};
  };
  const std::string embeddings = prefix + "embeddings.";
  STOA_TRY(words, source.matrix(embeddings + "word_embeddings.weight", c.vocabulary, c.width));
  words_ = words;
  STOA_TRY(positions, source.matrix(embeddings + "position_embeddings.weight", c.positions, c.width));
  positions_ = positions;
  STOA_TRY(types, source.matrix(embeddings + "token_type_embeddings.weight", c.token_types, c.width));
  token_type_.resize(static_cast<std::size_t>(c.width));
  compute_.lookup(types, std::array{0}, token_type_.data(), c.width);
  STOA_CHECK(layer_norm(embeddings + "LayerNorm", embedding_norm_));

  layers_.resize(static_cast<std::size_t>(c.layers));
  for (int i = 0; i < c.layers; ++i) {
    auto& layer = layers_[static_cast<std::size_t>(i)];
    const std::string at = fmt::format("{}encoder.layer.{}.", prefix, i);
    STOA_CHECK(dense(at + "attention.self.query", c.width, c.width, layer.q));
    STOA_CHECK(dense(at + "attention.self.key", c.width, c.width, layer.k));
    STOA_CHECK(dense(at + "attention.self.value", c.width, c.width, layer.v));
    STOA_CHECK(dense(at + "attention.output.dense", c.width, c.width, layer.attention_output));
    STOA_CHECK(layer_norm(at + "attention.output.LayerNorm", layer.attention_norm));
    STOA_CHECK(dense(at + "intermediate.dense", c.feed_forward, c.width, layer.intermediate));
    STOA_CHECK(dense(at + "output.dense", c.width, c.feed_forward, layer.output));
    STOA_CHECK(layer_norm(at + "output.LayerNorm", layer.output_norm));
  }
  return {};
}

std::size_t Encoder::weight_bytes() const {
  std::size_t sum = 0;
  for (const Weights* w : {&words_, &positions_}) sum += dtype_bytes(w->dtype, static_cast<std::size_t>(w->cols)) * static_cast<std::size_t>(w->rows);
  for (const auto& layer : layers_) {
    for (const Dense* dense : layer.products()) sum += PackedWeights::bytes_of(dense->weights);
  }
  return sum;
}

void Encoder::pack() {
  for (auto& layer : layers_) {
    for (Dense* dense : layer.products()) {
      if (const auto packed = packed_.add(compute_.pool(), dense->weights)) dense->weights = *packed;  // else as it lies in the file, slowly
    }
  }
  drop_pages(mapped_);
  is_packed_ = true;
}

void Encoder::norm(const Norm& norm, float* rows) {
  const auto& c = config_;
  compute_.layer_norm(rows, c.width, norm.weight.data(), norm.bias.data(), c.norm_epsilon, rows_, c.width, rows, c.width);
}

void Encoder::encode(std::span<const std::vector<std::int32_t>> texts, float* out) {
  if (!is_packed_) pack();
  embed_tokens(texts);
  prepare_pages(texts);
  for (const auto& layer : layers_) run_layer(layer);

  const auto width = static_cast<std::size_t>(config_.width);
  const float* row = hidden_.data();
  for (const auto& text : texts) {
    std::fill_n(out, width, 0.0f);
    for (std::size_t i = 0; i < text.size(); ++i, row += width) {
      for (std::size_t d = 0; d < width; ++d) out[d] += row[d];
    }
    double squares = 0;
    for (std::size_t d = 0; d < width; ++d) squares += static_cast<double>(out[d]) * out[d];
    // The mean's divisor cancels in the scaling to unit length; a zero vector stays one.
    const auto scale = squares > 0 ? static_cast<float>(1 / std::sqrt(squares)) : 0.0f;
    for (std::size_t d = 0; d < width; ++d) out[d] *= scale;
    out += width;
  }
}

void Encoder::embed_tokens(std::span<const std::vector<std::int32_t>> texts) {
  std::vector<std::int32_t> tokens, positions;
  for (const auto& text : texts) {
    tokens.insert(tokens.end(), text.begin(), text.end());
    for (std::size_t i = 0; i < text.size(); ++i) positions.push_back(static_cast<std::int32_t>(i));
  }
  rows_ = static_cast<int>(tokens.size());
  const auto width = static_cast<std::size_t>(config_.width), rows = tokens.size();
  grow(hidden_, rows * width);
  grow(looked_up_, rows * width);
  grow(qkv_, rows * width * 3);
  grow(attended_, rows * width);
  grow(intermediate_, rows * static_cast<std::size_t>(config_.feed_forward));
  compute_.lookup(words_, tokens, hidden_.data(), config_.width);
  compute_.lookup(positions_, positions, looked_up_.data(), config_.width);
  for (std::size_t i = 0; i < rows; ++i) {
    float* const row = looked_up_.data() + i * width;
    for (std::size_t d = 0; d < width; ++d) row[d] += token_type_[d];
  }
  compute_.add(looked_up_.data(), hidden_.data(), static_cast<std::int64_t>(rows * width));
  norm(embedding_norm_, hidden_.data());
}

void Encoder::prepare_pages(std::span<const std::vector<std::int32_t>> texts) {
  const auto& c = config_;
  layout_ = {.layers = 1, .kv_heads = c.heads, .head_dim = c.width / c.heads, .type = KvType::kF32};
  std::size_t count = 0;
  for (const auto& text : texts) count += static_cast<std::size_t>(pages_for(static_cast<int>(text.size())));
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
  for (const auto& text : texts) {
    const int rows = static_cast<int>(text.size());
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

void Encoder::run_layer(const Layer& layer) {
  const auto& c = config_;
  const std::int64_t width = c.width, stride = width * 3;
  float* const q = qkv_.data();
  const auto product = [](const Dense& dense, float* y, std::int64_t y_stride, bool accumulate) {
    return Product{.w = &dense.weights, .y = y, .y_stride = y_stride, .bias = dense.bias.data(), .accumulate = accumulate};
  };
  const std::array qkv = {product(layer.q, q, stride, false), product(layer.k, q + width, stride, false), product(layer.v, q + 2 * width, stride, false)};
  compute_.matmul(hidden_.data(), width, rows_, c.width, qkv);
  std::size_t first = 0;
  for (const auto& sequence : sequences_) {
    compute_.store_kv(layout_, 0, pages_.data() + first, 0, sequence.rows, sequence.q + width, stride, sequence.q + 2 * width,
                      stride);
    first += static_cast<std::size_t>(pages_for(sequence.rows));
  }
  const AttentionShape shape{
      .heads = c.heads, .layer = 0, .scale = 1.0f / std::sqrt(static_cast<float>(layout_.head_dim)), .causal = false};
  compute_.attention(layout_, shape, sequences_);
  const auto attention_output = product(layer.attention_output, hidden_.data(), width, true);
  compute_.matmul(attended_.data(), width, rows_, c.width, {&attention_output, 1});
  norm(layer.attention_norm, hidden_.data());

  const auto intermediate = product(layer.intermediate, intermediate_.data(), c.feed_forward, false);
  compute_.matmul(hidden_.data(), width, rows_, c.width, {&intermediate, 1});
  compute_.gelu(intermediate_.data(), std::int64_t{rows_} * c.feed_forward, c.gelu_tanh);
  const auto output = product(layer.output, hidden_.data(), width, true);
  compute_.matmul(intermediate_.data(), c.feed_forward, rows_, c.feed_forward, {&output, 1});
  norm(layer.output_norm, hidden_.data());
}

}  // namespace stoa::models
