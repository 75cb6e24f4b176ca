// The weights of a decoder, found in a model file by name and checked against its configuration.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/compute/backend.h"
#include "models/engine/model_config.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// The matrices of a layer, which are also what an adapter may change (adapter.h).
enum Matrix : std::uint8_t { kQ, kK, kV, kOutput, kGate, kUp, kDown, kMatrices };

struct LayerWeights {
  std::vector<float> attention_norm, feed_forward_norm;
  std::vector<float> attention_post_norm, feed_forward_post_norm;  // empty without DecoderConfig::post_norms
  // Gate, up and down of the one feed-forward; with experts, of the shared one, without data where there is none.
  std::array<Weights, kMatrices> matrices;
  std::vector<float> q_bias, k_bias, v_bias, output_bias;  // empty where the model has none
  std::vector<float> q_norm, k_norm;
  Weights router;  // the rest only with experts
  std::vector<Weights> expert_gate, expert_up, expert_down;
  std::vector<float> shared_gate;

  const Weights& operator[](Matrix m) const { return matrices[m]; }
};

// Matrices lie in the file, which outlives this, until they are packed.
struct DecoderWeights {
  Weights embedding, head;
  std::vector<float> final_norm;
  std::vector<Rope> ropes;  // as DecoderConfig::ropes, with the file's factors
  std::vector<LayerWeights> layers;

  // `context`: how many tokens a sequence may have, which chooses among LongRoPE's factors. Errors: those of TensorSource.
  static Result<DecoderWeights> load(const GgufFile& file, const DecoderConfig& config, int context);

  // Has the matrices of products packed, one layer after the other; `mapped` is the file's memory, given back meanwhile, so that a model is
  // in memory once. What memory does not suffice for stays as it lies in the file, and is slow.
  void pack(WeightStore& packed, std::span<const std::byte> mapped);
  // The memory that matrices take then, with an embedding that is not the head, which stays in the file.
  std::size_t bytes(const Backend& backend) const;
};

}  // namespace stoa::models
