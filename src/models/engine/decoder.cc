#include "models/engine/decoder.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "models/engine/tensor_source.h"

namespace stoa::models {
namespace {

const float* data_or_null(const std::vector<float>& values) { return values.empty() ? nullptr : values.data(); }

void grow(std::vector<float>& buffer, int rows, int n) {
  const auto size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(n);
  if (buffer.size() < size) buffer.resize(size);
}

}  // namespace

Decoder::Decoder(DecoderConfig config, ThreadPool& threads, Isa isa)
    : config_(std::move(config)), compute_(threads, isa), rope_(config_.rope_style, config_.rope_dim, config_.rope_base, {}, config_.rope_scale) {}

Result<Decoder> Decoder::load(const GgufFile& file, ThreadPool& threads, Isa isa) {
  STOA_TRY(config, read_decoder_config(file));
  Decoder decoder(std::move(config), threads, isa);
  const auto& c = decoder.config_;
  const TensorSource source(file);
  STOA_TRY(factors, source.optional_vector("rope_freqs.weight", c.rope_dim / 2));
  if (!factors.empty()) decoder.rope_ = Rope(c.rope_style, c.rope_dim, c.rope_base, factors, c.rope_scale);
  STOA_TRY(embedding, source.matrix("token_embd.weight", c.vocabulary, c.width));
  decoder.embedding_ = embedding;
  decoder.head_ = embedding;  // tied unless the file has a head of its own
  if (source.has("output.weight")) {
    STOA_TRY(head, source.matrix("output.weight", c.vocabulary, c.width));
    decoder.head_ = head;
  }
  STOA_TRY(final_norm, source.vector("output_norm.weight", c.width));
  decoder.final_norm_ = std::move(final_norm);
  decoder.layers_.resize(static_cast<std::size_t>(c.layers));
  for (int i = 0; i < c.layers; ++i) STOA_CHECK(decoder.load_layer(source, i));
  return decoder;
}

Status Decoder::load_layer(const TensorSource& source, int index) {
  const auto& c = config_;
  auto& layer = layers_[static_cast<std::size_t>(index)];
  const std::string prefix = fmt::format("blk.{}.", index);
  const int q_size = c.heads * c.head_dim, kv_size = c.kv_heads * c.head_dim;

  const struct { const char* name; int rows, cols; Weights* into; } matrices[] = {
      {"attn_q", q_size, c.width, &layer.q},           {"attn_k", kv_size, c.width, &layer.k},
      {"attn_v", kv_size, c.width, &layer.v},          {"attn_output", c.width, q_size, &layer.output},
      {"ffn_gate", c.feed_forward, c.width, &layer.gate}, {"ffn_up", c.feed_forward, c.width, &layer.up},
      {"ffn_down", c.width, c.feed_forward, &layer.down},
  };
  for (const auto& m : matrices) {
    STOA_TRY(weights, source.matrix(prefix + m.name + ".weight", m.rows, m.cols));
    *m.into = weights;
  }
  STOA_TRY(attention_norm, source.vector(prefix + "attn_norm.weight", c.width));
  layer.attention_norm = std::move(attention_norm);
  STOA_TRY(feed_forward_norm, source.vector(prefix + "ffn_norm.weight", c.width));
  layer.feed_forward_norm = std::move(feed_forward_norm);
  const struct { const char* name; int n; std::vector<float>* into; } optional[] = {
      {"attn_q.bias", q_size, &layer.q_bias},        {"attn_k.bias", kv_size, &layer.k_bias},
      {"attn_v.bias", kv_size, &layer.v_bias},       {"attn_output.bias", c.width, &layer.output_bias},
      {"attn_q_norm.weight", c.head_dim, &layer.q_norm}, {"attn_k_norm.weight", c.head_dim, &layer.k_norm},
  };
  for (const auto& v : optional) {
    STOA_TRY(values, source.optional_vector(prefix + v.name, v.n));
    *v.into = std::move(values);
  }
  return {};
}

KvLayout Decoder::kv_layout() const {
  return {.layers = config_.layers, .kv_heads = config_.kv_heads, .head_dim = config_.head_dim, .type = KvType::kF16};
}

std::size_t Decoder::activation_bytes(int rows, int logit_rows) const {
  const auto& c = config_;
  const auto each = 2 * c.width + 2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + 2 * c.feed_forward;
  return sizeof(float) * (static_cast<std::size_t>(rows) * static_cast<std::size_t>(each) +
                          static_cast<std::size_t>(logit_rows) * static_cast<std::size_t>(c.width + c.vocabulary));
}

void Decoder::prepare(std::span<const Segment> segments, const KvPool& pool) {
  auto& b = batch_;
  b.tokens.clear();
  b.positions.clear();
  b.pages.clear();
  b.first_page.clear();
  b.sequences.clear();
  for (const auto& segment : segments) {
    const int rows = static_cast<int>(segment.tokens.size());
    b.first_page.push_back(b.pages.size());
    b.sequences.push_back({.rows = rows, .first_position = segment.position});
    b.tokens.insert(b.tokens.end(), segment.tokens.begin(), segment.tokens.end());
    for (int i = 0; i < rows; ++i) b.positions.push_back(segment.position + i);
    const auto used = static_cast<std::size_t>(pages_for(segment.position + rows));
    for (const PageId page : segment.pages.first(used)) b.pages.push_back(pool.data(page));
  }
  b.rows = static_cast<int>(b.tokens.size());
  angles_.set(rope_, b.positions);

  const auto& c = config_;
  const int q_size = c.heads * c.head_dim, qkv_size = q_size + 2 * c.kv_heads * c.head_dim;
  grow(residual_, b.rows, c.width);
  grow(normed_, b.rows, c.width);
  grow(qkv_, b.rows, qkv_size);
  grow(attended_, b.rows, q_size);
  grow(gate_, b.rows, c.feed_forward);
  grow(up_, b.rows, c.feed_forward);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < b.sequences.size(); ++i) {
    auto& sequence = b.sequences[i];
    sequence.q = qkv_.data() + row * qkv_size;
    sequence.out = attended_.data() + row * q_size;
    sequence.q_stride = qkv_size;
    sequence.out_stride = q_size;
    sequence.pages = b.pages.data() + b.first_page[i];
    row += sequence.rows;
  }
}

std::span<float> Decoder::forward(std::span<const Segment> segments, const KvPool& pool) {
  prepare(segments, pool);
  compute_.lookup(embedding_, batch_.tokens, residual_.data(), config_.width);
  for (int i = 0; i < config_.layers; ++i) {
    const auto& layer = layers_[static_cast<std::size_t>(i)];
    attend(layer, i);
    feed_forward(layer);
  }
  return logits(segments);
}

void Decoder::attend(const Layer& layer, int index) {
  const auto& c = config_;
  const int rows = batch_.rows;
  const std::int64_t q_size = c.heads * c.head_dim, kv_size = c.kv_heads * c.head_dim, stride = q_size + 2 * kv_size;
  float* const q = qkv_.data();
  float* const k = q + q_size;
  float* const v = k + kv_size;

  compute_.rms_norm(residual_.data(), c.width, layer.attention_norm.data(), c.norm_epsilon, rows, c.width, normed_.data(), c.width);
  const std::array products = {
      Product{.w = &layer.q, .y = q, .y_stride = stride, .bias = data_or_null(layer.q_bias)},
      Product{.w = &layer.k, .y = k, .y_stride = stride, .bias = data_or_null(layer.k_bias)},
      Product{.w = &layer.v, .y = v, .y_stride = stride, .bias = data_or_null(layer.v_bias)},
  };
  compute_.matmul(normed_.data(), c.width, rows, c.width, products);
  const auto norm_heads = [&](float* first, int heads, const std::vector<float>& weight) {
    if (weight.empty()) return;
    for (int row = 0; row < rows; ++row) {
      float* const head = first + row * stride;
      compute_.rms_norm(head, c.head_dim, weight.data(), c.norm_epsilon, heads, c.head_dim, head, c.head_dim);
    }
  };
  norm_heads(q, c.heads, layer.q_norm);
  norm_heads(k, c.kv_heads, layer.k_norm);
  compute_.rope(angles_, q, stride, c.heads + c.kv_heads, c.head_dim);  // the heads of k stand behind those of q

  const KvLayout layout = kv_layout();
  std::int64_t row = 0;
  for (std::size_t i = 0; i < batch_.sequences.size(); ++i) {
    const auto& sequence = batch_.sequences[i];
    compute_.store_kv(layout, index, batch_.pages.data() + batch_.first_page[i], sequence.first_position, sequence.rows, k + row * stride, stride,
                      v + row * stride, stride);
    row += sequence.rows;
  }
  const AttentionShape shape{.heads = c.heads, .layer = index, .scale = 1.0f / std::sqrt(static_cast<float>(c.head_dim))};
  compute_.attention(layout, shape, batch_.sequences);
  const Product output{
      .w = &layer.output, .y = residual_.data(), .y_stride = c.width, .bias = data_or_null(layer.output_bias), .accumulate = true};
  compute_.matmul(attended_.data(), q_size, rows, static_cast<int>(q_size), {&output, 1});
}

void Decoder::feed_forward(const Layer& layer) {
  const auto& c = config_;
  const int rows = batch_.rows;
  compute_.rms_norm(residual_.data(), c.width, layer.feed_forward_norm.data(), c.norm_epsilon, rows, c.width, normed_.data(), c.width);
  const std::array products = {
      Product{.w = &layer.gate, .y = gate_.data(), .y_stride = c.feed_forward},
      Product{.w = &layer.up, .y = up_.data(), .y_stride = c.feed_forward},
  };
  compute_.matmul(normed_.data(), c.width, rows, c.width, products);
  compute_.silu_mul(gate_.data(), up_.data(), std::int64_t{rows} * c.feed_forward);
  const Product down{.w = &layer.down, .y = residual_.data(), .y_stride = c.width, .accumulate = true};
  compute_.matmul(gate_.data(), c.feed_forward, rows, c.feed_forward, {&down, 1});
}

std::span<float> Decoder::logits(std::span<const Segment> segments) {
  const auto& c = config_;
  // Only the rows asked for: the head is the largest matrix of a small model.
  int wanted = 0;
  for (const auto& segment : segments) wanted += segment.logit_rows;
  if (wanted == 0) return {};
  grow(last_, wanted, c.width);
  grow(logits_, wanted, c.vocabulary);
  std::int64_t end = 0, taken = 0;
  for (const auto& segment : segments) {
    end += static_cast<std::int64_t>(segment.tokens.size());
    if (segment.logit_rows == 0) continue;
    compute_.rms_norm(residual_.data() + (end - segment.logit_rows) * c.width, c.width, final_norm_.data(), c.norm_epsilon, segment.logit_rows,
                      c.width, last_.data() + taken * c.width, c.width);
    taken += segment.logit_rows;
  }
  const Product product{.w = &head_, .y = logits_.data(), .y_stride = c.vocabulary};
  compute_.matmul(last_.data(), c.width, wanted, c.width, {&product, 1});
  return {logits_.data(), static_cast<std::size_t>(wanted) * static_cast<std::size_t>(c.vocabulary)};
}

}  // namespace stoa::models
