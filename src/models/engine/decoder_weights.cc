#include "models/engine/decoder_weights.h"

#include "infra/files/mapped_file.h"
#include "models/engine/tensor_source.h"

namespace stoa::models {
namespace {

class LayerLoader {
 public:
  LayerLoader(const TensorSource& source, const DecoderConfig& config, int index, LayerWeights& layer)
      : source_(source), c_(config), prefix_(fmt::format("blk.{}.", index)), layer_(layer) {}

  Status load() {
    STOA_CHECK(load_attention());
    STOA_CHECK(c_.experts.count > 0 ? load_experts() : load_feed_forward());
    return load_vectors();
  }

 private:
  Status matrix(const char* name, int rows, int cols, Weights& into) {
    STOA_TRY(weights, source_.matrix(prefix_ + name + ".weight", rows, cols));
    into = weights;
    return {};
  }
  Status experts(const char* name, int rows, int cols, std::vector<Weights>& into) {
    STOA_TRY(weights, source_.matrices(prefix_ + name + ".weight", c_.experts.count, rows, cols));
    into = std::move(weights);
    return {};
  }

  Status load_attention() {
    const int q_size = c_.heads * c_.head_dim, kv_size = c_.kv_heads * c_.head_dim;
    auto& m = layer_.matrices;
    STOA_CHECK(matrix("attn_output", c_.width, q_size, m[kOutput]));
    if (source_.has(prefix_ + "attn_qkv.weight")) {
      Weights all;
      STOA_CHECK(matrix("attn_qkv", q_size + 2 * kv_size, c_.width, all));
      m[kQ] = rows_of(all, 0, q_size);
      m[kK] = rows_of(all, q_size, kv_size);
      m[kV] = rows_of(all, q_size + kv_size, kv_size);
      return {};
    }
    STOA_CHECK(matrix("attn_q", q_size, c_.width, m[kQ]));
    STOA_CHECK(matrix("attn_k", kv_size, c_.width, m[kK]));
    return matrix("attn_v", kv_size, c_.width, m[kV]);
  }

  Status load_feed_forward() {
    auto& m = layer_.matrices;
    const int n = c_.feed_forward;
    STOA_CHECK(matrix("ffn_down", c_.width, n, m[kDown]));
    if (c_.gate_in_up) {
      Weights both;
      STOA_CHECK(matrix("ffn_up", 2 * n, c_.width, both));
      m[kGate] = rows_of(both, 0, n);
      m[kUp] = rows_of(both, n, n);
      return {};
    }
    STOA_CHECK(matrix("ffn_gate", n, c_.width, m[kGate]));
    return matrix("ffn_up", n, c_.width, m[kUp]);
  }

  Status load_experts() {
    const auto& e = c_.experts;
    STOA_CHECK(matrix("ffn_gate_inp", e.count, c_.width, layer_.router));
    STOA_CHECK(experts("ffn_gate_exps", e.feed_forward, c_.width, layer_.expert_gate));
    STOA_CHECK(experts("ffn_up_exps", e.feed_forward, c_.width, layer_.expert_up));
    STOA_CHECK(experts("ffn_down_exps", c_.width, e.feed_forward, layer_.expert_down));
    if (e.shared == 0) return {};
    auto& m = layer_.matrices;
    STOA_CHECK(matrix("ffn_gate_shexp", e.shared, c_.width, m[kGate]));
    STOA_CHECK(matrix("ffn_up_shexp", e.shared, c_.width, m[kUp]));
    STOA_CHECK(matrix("ffn_down_shexp", c_.width, e.shared, m[kDown]));
    STOA_TRY(gate, source_.vector(prefix_ + "ffn_gate_inp_shexp.weight", c_.width));
    layer_.shared_gate = std::move(gate);
    return {};
  }

  Status load_vectors() {
    const int q_size = c_.heads * c_.head_dim, kv_size = c_.kv_heads * c_.head_dim;
    const struct { const char* name; int n; bool needed; std::vector<float>* into; } vectors[] = {
        {"attn_norm.weight", c_.width, true, &layer_.attention_norm},
        {"ffn_norm.weight", c_.width, true, &layer_.feed_forward_norm},
        {"attn_q.bias", q_size, false, &layer_.q_bias},
        {"attn_k.bias", kv_size, false, &layer_.k_bias},
        {"attn_v.bias", kv_size, false, &layer_.v_bias},
        {"attn_output.bias", c_.width, false, &layer_.output_bias},
        {"attn_q_norm.weight", c_.head_dim, false, &layer_.q_norm},
        {"attn_k_norm.weight", c_.head_dim, false, &layer_.k_norm},
    };
    for (const auto& v : vectors) {
      STOA_TRY(values, v.needed ? source_.vector(prefix_ + v.name, v.n) : source_.optional_vector(prefix_ + v.name, v.n));
      *v.into = std::move(values);
    }
    if (!c_.post_norms) return {};
    STOA_TRY(attention, source_.vector(prefix_ + "post_attention_norm.weight", c_.width));
    layer_.attention_post_norm = std::move(attention);
    STOA_TRY(feed_forward, source_.vector(prefix_ + "post_ffw_norm.weight", c_.width));
    layer_.feed_forward_post_norm = std::move(feed_forward);
    return {};
  }

  const TensorSource& source_;
  const DecoderConfig& c_;
  const std::string prefix_;
  LayerWeights& layer_;
};

// Calls fn with each matrix that the layer has.
template <class Layer, class Fn>
void for_each_matrix(Layer& layer, Fn fn) {
  const auto visit = [&fn](auto& w) {
    if (w.data != nullptr) fn(w);
  };
  for (auto& w : layer.matrices) visit(w);
  visit(layer.router);
  for (auto* each : {&layer.expert_gate, &layer.expert_up, &layer.expert_down}) {
    for (auto& w : *each) visit(w);
  }
}

Result<std::vector<Rope>> load_ropes(const TensorSource& source, const DecoderConfig& config, int context) {
  // Llama 3's factors, or LongRoPE's; they belong to the first embedding, that of layers that see everything.
  const int original = config.ropes.front().original_context;
  std::string name = "rope_freqs.weight";
  if (!source.has(name) && original > 0) name = context > original ? "rope_factors_long.weight" : "rope_factors_short.weight";
  STOA_TRY(factors, source.optional_vector(name, config.ropes.front().dim / 2));
  for (const float factor : factors) {
    if (!(factor > 0)) return fail(ErrorCode::kDataLoss, "tensor {} has the factor {}, but all have to be positive", name, factor);
  }
  std::vector<Rope> ropes;
  for (const auto& r : config.ropes) {
    ropes.emplace_back(r.style, r.dim, r.base, ropes.empty() ? std::span<const float>(factors) : std::span<const float>(), r.scale,
                       r.yarn ? &r.ramp : nullptr, r.magnitude);
  }
  return ropes;
}

}  // namespace

void DecoderWeights::pack(WeightStore& packed, std::span<const std::byte> mapped) {
  const bool tied = head.data == embedding.data;
  const auto pack_one = [&](Weights& w) {
    if (const auto copy = packed.add(w)) w = *copy;
  };
  for (auto& layer : layers) {
    for_each_matrix(layer, pack_one);
    infra::drop_pages(mapped);
  }
  pack_one(head);
  if (tied) embedding = head;
  infra::drop_pages(mapped);
}

std::size_t DecoderWeights::bytes(const Backend& backend) const {
  std::size_t sum = backend.stored_bytes(head);
  if (head.data != embedding.data) sum += dtype_bytes(embedding.dtype, static_cast<std::size_t>(embedding.cols)) * static_cast<std::size_t>(embedding.rows);
  for (const auto& layer : layers) for_each_matrix(layer, [&](const Weights& w) { sum += backend.stored_bytes(w); });
  return sum;
}

Result<DecoderWeights> DecoderWeights::load(const GgufFile& file, const DecoderConfig& config, int context) {
  const TensorSource source(file);
  DecoderWeights w;
  auto ropes = load_ropes(source, config, context);
  if (!ropes) return fail(std::move(ropes.error()).in(file.name()));
  w.ropes = std::move(*ropes);
  STOA_TRY(embedding, source.matrix("token_embd.weight", config.vocabulary, config.width));
  w.embedding = embedding;
  w.head = embedding;  // tied unless the file has a head of its own
  if (source.has("output.weight")) {
    STOA_TRY(head, source.matrix("output.weight", config.vocabulary, config.width));
    w.head = head;
  }
  STOA_TRY(final_norm, source.vector("output_norm.weight", config.width));
  w.final_norm = std::move(final_norm);
  w.layers.resize(static_cast<std::size_t>(config.layers));
  for (int i = 0; i < config.layers; ++i) STOA_CHECK(LayerLoader(source, config, i, w.layers[static_cast<std::size_t>(i)]).load());
  return w;
}

}  // namespace stoa::models
