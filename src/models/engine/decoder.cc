#include "models/engine/decoder.h"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

namespace stoa::models {
namespace {

const float* data_or_null(const std::vector<float>& values) { return values.empty() ? nullptr : values.data(); }

void grow(std::vector<float>& buffer, int rows, int n) {
  const auto size = static_cast<std::size_t>(rows) * static_cast<std::size_t>(n);
  if (buffer.size() < size) buffer.resize(size);
}

}  // namespace

Decoder::Decoder(DecoderConfig config, DecoderWeights weights, Backend& backend)
    : config_(std::move(config)), backend_(backend), compute_(backend.make_compute()), weights_(std::move(weights)), packed_(backend.make_weight_store()), angles_(weights_.ropes.size()) {}

Result<Decoder> Decoder::load(const GgufFile& file, Backend& backend, int context, KvType kv_type) {
  STOA_TRY(config, read_decoder_config(file));
  if (context <= 0 || context > config.context_length) context = config.context_length;
  STOA_TRY(weights, DecoderWeights::load(file, config, context));
  Decoder decoder(std::move(config), std::move(weights), backend);
  decoder.mapped_ = file.mapped();
  decoder.kv_type_ = kv_type;
  return decoder;
}

KvLayout Decoder::kv_layout() const {
  return {.layers = config_.layers, .kv_heads = config_.kv_heads, .head_dim = config_.head_dim, .type = kv_type_};
}

std::size_t Decoder::activation_bytes(int rows, int logit_rows) const {
  const auto& c = config_;
  const auto each = 2 * c.width + 2 * c.heads * c.head_dim + 2 * c.kv_heads * c.head_dim + (c.experts.count > 0 ? 0 : 2 * c.feed_forward);
  return sizeof(float) * (static_cast<std::size_t>(rows) * static_cast<std::size_t>(each) +
                          static_cast<std::size_t>(logit_rows) * static_cast<std::size_t>(c.width + c.vocabulary)) +
         ExpertMixture::bytes(c, rows);
}

void Decoder::prepare(std::span<const Segment> segments, const KvPool& pool) {
  auto& b = batch_;
  b.tokens.clear();
  b.positions.clear();
  b.pages.clear();
  b.first_page.clear();
  b.sequences.clear();
  b.adapted.clear();
  b.order.resize(segments.size());
  b.last_row.resize(segments.size());
  std::iota(b.order.begin(), b.order.end(), std::size_t{0});
  std::ranges::stable_sort(b.order, std::less<>{}, [&](std::size_t i) { return segments[i].adapter; });
  for (const auto i : b.order) {
    const auto& segment = segments[i];
    const int rows = static_cast<int>(segment.tokens.size());
    if (segment.adapter != nullptr) {
      if (b.adapted.empty() || b.adapted.back().adapter != segment.adapter) b.adapted.push_back({segment.adapter, static_cast<std::int64_t>(b.tokens.size()), 0});
      b.adapted.back().rows += rows;
    }
    b.first_page.push_back(b.pages.size());
    b.sequences.push_back({.rows = rows, .first_position = segment.position});
    b.tokens.insert(b.tokens.end(), segment.tokens.begin(), segment.tokens.end());
    b.last_row[i] = static_cast<std::int64_t>(b.tokens.size()) - 1;
    for (int row = 0; row < rows; ++row) b.positions.push_back(segment.position + row);
    const auto used = static_cast<std::size_t>(pages_for(segment.position + rows));
    for (const PageId page : segment.pages.first(used)) b.pages.push_back(page == kNoPage ? nullptr : pool.data(page));
  }
  b.rows = static_cast<int>(b.tokens.size());
  for (std::size_t i = 0; i < angles_.size(); ++i) angles_[i].set(weights_.ropes[i], b.positions);
  grow_buffers();

  const int q_size = config_.heads * config_.head_dim, qkv_size = q_size + 2 * config_.kv_heads * config_.head_dim;
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

void Decoder::grow_buffers() {
  const auto& c = config_;
  const int rows = batch_.rows;
  grow(residual_, rows, c.width);
  grow(normed_, rows, c.width);
  grow(qkv_, rows, (c.heads + 2 * c.kv_heads) * c.head_dim);
  grow(attended_, rows, c.heads * c.head_dim);
  if (c.experts.count == 0) {
    grow(gate_, rows, c.feed_forward);
    grow(up_, rows, c.feed_forward);
  }
  // Three products of one input at most.
  for (const auto& adapted : batch_.adapted) grow(low_rank_, adapted.rows, 3 * adapted.adapter->rank());
}

std::span<float> Decoder::forward(std::span<const Segment> segments, const KvPool& pool) {
  if (!is_packed_) {
    weights_.pack(*packed_, mapped_);
    is_packed_ = true;
  }
  prepare(segments, pool);
  compute_->lookup(weights_.embedding, batch_.tokens, residual_.data(), config_.width);
  if (config_.embedding_scale != 1) {
    const auto used = std::span(residual_).first(static_cast<std::size_t>(batch_.rows) * static_cast<std::size_t>(config_.width));
    for (float& value : used) value *= config_.embedding_scale;
  }
  for (int i = 0; i < config_.layers; ++i) {
    attend(i);
    feed_forward(i);
  }
  return logits(segments);
}

void Decoder::multiply(int layer, const float* x, int cols, std::span<const Product> products, std::span<const Matrix> matrices) {
  compute_->matmul(x, cols, batch_.rows, cols, products);
  for (const auto& adapted : batch_.adapted) {
    std::array<Product, 3> down;
    std::array<std::size_t, 3> of{};
    std::size_t count = 0;
    float* low = low_rank_.data();
    for (std::size_t i = 0; i < products.size(); ++i) {
      const auto* change = adapted.adapter->find(layer, matrices[i]);
      if (change == nullptr) continue;
      down[count] = {.w = &change->a, .y = low, .y_stride = change->a.rows};
      of[count++] = i;
      low += std::int64_t{adapted.rows} * change->a.rows;
    }
    if (count == 0) continue;
    compute_->matmul(x + adapted.first * cols, cols, adapted.rows, cols, std::span(down).first(count));
    for (std::size_t i = 0; i < count; ++i) {
      const auto& product = products[of[i]];
      const auto& b = adapted.adapter->find(layer, matrices[of[i]])->b;
      const Product up{.w = &b, .y = product.y + adapted.first * product.y_stride, .y_stride = product.y_stride, .accumulate = true};
      compute_->matmul(down[i].y, b.cols, adapted.rows, b.cols, {&up, 1});
    }
  }
}

void Decoder::add_to_residual(int layer, const float* x, int cols, Matrix matrix, const std::vector<float>& bias, const std::vector<float>& post_norm) {
  const bool direct = post_norm.empty();
  const Product product{.w = &weights_.layers[static_cast<std::size_t>(layer)][matrix], .y = direct ? residual_.data() : normed_.data(),
                        .y_stride = config_.width, .bias = data_or_null(bias), .accumulate = direct};
  multiply(layer, x, cols, {&product, 1}, {&matrix, 1});
  if (!direct) add_normed(post_norm);
}

// What is in normed_, normed.
void Decoder::add_normed(const std::vector<float>& post_norm) {
  const int width = config_.width;
  compute_->rms_norm(normed_.data(), width, post_norm.data(), config_.norm_epsilon, batch_.rows, width, normed_.data(), width);
  compute_->add(normed_.data(), residual_.data(), std::int64_t{batch_.rows} * width);
}

// Queries, keys and values of all heads, turned.
void Decoder::project_heads(int index) {
  const auto& c = config_;
  const auto& layer = weights_.layers[static_cast<std::size_t>(index)];
  const std::int64_t q_size = c.heads * c.head_dim, kv_size = c.kv_heads * c.head_dim, stride = q_size + 2 * kv_size;
  float* const q = qkv_.data();
  float* const k = q + q_size;
  compute_->rms_norm(residual_.data(), c.width, layer.attention_norm.data(), c.norm_epsilon, batch_.rows, c.width, normed_.data(), c.width);
  const std::array products = {
      Product{.w = &layer[kQ], .y = q, .y_stride = stride, .bias = data_or_null(layer.q_bias)},
      Product{.w = &layer[kK], .y = k, .y_stride = stride, .bias = data_or_null(layer.k_bias)},
      Product{.w = &layer[kV], .y = k + kv_size, .y_stride = stride, .bias = data_or_null(layer.v_bias)},
  };
  multiply(index, normed_.data(), c.width, products, std::array{kQ, kK, kV});
  const auto norm_heads = [&](float* first, int heads, const std::vector<float>& weight) {
    if (weight.empty()) return;
    for (int row = 0; row < batch_.rows; ++row) {
      float* const head = first + row * stride;
      compute_->rms_norm(head, c.head_dim, weight.data(), c.norm_epsilon, heads, c.head_dim, head, c.head_dim);
    }
  };
  norm_heads(q, c.heads, layer.q_norm);
  norm_heads(k, c.kv_heads, layer.k_norm);
  const auto& angles = angles_[static_cast<std::size_t>(c.plan[static_cast<std::size_t>(index)].rope)];
  compute_->rope(angles, q, stride, c.heads + c.kv_heads, c.head_dim);  // the heads of k stand behind those of q
}

void Decoder::attend(int index) {
  const auto& c = config_;
  const auto& layer = weights_.layers[static_cast<std::size_t>(index)];
  project_heads(index);
  const std::int64_t q_size = c.heads * c.head_dim, kv_size = c.kv_heads * c.head_dim, stride = q_size + 2 * kv_size;
  const float* const k = qkv_.data() + q_size;
  const float* const v = k + kv_size;
  const KvLayout layout = kv_layout();
  std::int64_t row = 0;
  for (std::size_t i = 0; i < batch_.sequences.size(); ++i) {
    const auto& sequence = batch_.sequences[i];
    compute_->store_kv(layout, index, batch_.pages.data() + batch_.first_page[i], sequence.first_position, sequence.rows, k + row * stride, stride,
                      v + row * stride, stride);
    row += sequence.rows;
  }
  const AttentionShape shape{.heads = c.heads, .layer = index, .scale = c.attention_scale, .window = c.plan[static_cast<std::size_t>(index)].window,
                             .softcap = c.attention_softcap};
  compute_->attention(layout, shape, batch_.sequences);
  add_to_residual(index, attended_.data(), static_cast<int>(q_size), kOutput, layer.output_bias, layer.attention_post_norm);
}

void Decoder::feed_forward(int index) {
  const auto& c = config_;
  const auto& layer = weights_.layers[static_cast<std::size_t>(index)];
  const int rows = batch_.rows;
  compute_->rms_norm(residual_.data(), c.width, layer.feed_forward_norm.data(), c.norm_epsilon, rows, c.width, normed_.data(), c.width);
  if (c.experts.count > 0) return experts_.run(*compute_, c, layer, normed_.data(), rows, residual_.data());
  const std::array products = {
      Product{.w = &layer[kGate], .y = gate_.data(), .y_stride = c.feed_forward},
      Product{.w = &layer[kUp], .y = up_.data(), .y_stride = c.feed_forward},
  };
  multiply(index, normed_.data(), c.width, products, std::array{kGate, kUp});
  activate(*compute_, c.activation, gate_.data(), up_.data(), std::int64_t{rows} * c.feed_forward);
  add_to_residual(index, gate_.data(), c.feed_forward, kDown, {}, layer.feed_forward_post_norm);
}

std::span<float> Decoder::logits(std::span<const Segment> segments) {
  const auto& c = config_;
  // Only the rows asked for: the head is the largest matrix of a small model.
  int wanted = 0;
  for (const auto& segment : segments) wanted += segment.logit_rows;
  if (wanted == 0) return {};
  grow(last_, wanted, c.width);
  grow(logits_, wanted, c.vocabulary);
  std::int64_t taken = 0;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const int rows = segments[i].logit_rows;
    if (rows == 0) continue;
    const std::int64_t first = batch_.last_row[i] + 1 - rows;
    compute_->rms_norm(residual_.data() + first * c.width, c.width, weights_.final_norm.data(), c.norm_epsilon, rows, c.width,
                      last_.data() + taken * c.width, c.width);
    taken += rows;
  }
  const Product product{.w = &weights_.head, .y = logits_.data(), .y_stride = c.vocabulary};
  compute_->matmul(last_.data(), c.width, wanted, c.width, {&product, 1});
  const auto values = static_cast<std::size_t>(wanted) * static_cast<std::size_t>(c.vocabulary);
  if (c.logit_softcap > 0) compute_->softcap(logits_.data(), c.logit_softcap, static_cast<std::int64_t>(values));
  return {logits_.data(), values};
}

}  // namespace stoa::models
