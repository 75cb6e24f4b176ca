// The forward pass of a decoder over a batch that mixes prompt chunks and single decoded tokens of many sequences.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/compute/compute.h"
#include "models/engine/kv_pool.h"
#include "models/engine/model_config.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// New tokens of one sequence. Keys and values of the `position` tokens before them are in the pages already.
struct Segment {
  std::span<const std::int32_t> tokens;  // at least one, each within the vocabulary
  int position = 0;                      // of the first of them
  std::span<const PageId> pages;         // at least pages_for(position + tokens.size())
  int logit_rows = 0;                    // how many of the last of them want logits, at most tokens.size()
};

// Weights are used where they lie in `file`, which outlives the decoder. One thread at a time.
class Decoder {
 public:
  // Errors: those of read_decoder_config and TensorSource.
  static Result<Decoder> load(const GgufFile& file, ThreadPool& threads, Isa isa);

  const DecoderConfig& config() const { return config_; }
  KvLayout kv_layout() const;
  DType weight_type() const { return layers_.front().gate.dtype; }  // of the bulk of the weights

  // Bytes of the activations of a step with so many rows, logits of `logit_rows` of them wanted.
  std::size_t activation_bytes(int rows, int logit_rows) const;

  // Writes keys and values of all segments into their pages. Returns a row of vocabulary logits for each row that a segment
  // wants them of, in order; valid until the next call, and the caller may overwrite it.
  std::span<float> forward(std::span<const Segment> segments, const KvPool& pool);

 private:
  struct Layer {
    std::vector<float> attention_norm, feed_forward_norm;
    Weights q, k, v, output, gate, up, down;
    std::vector<float> q_bias, k_bias, v_bias, output_bias;  // empty where the model has none
    std::vector<float> q_norm, k_norm;
  };
  // Where the segments' rows and pages are, worked out once for all layers.
  struct Batch {
    int rows = 0;
    std::vector<std::int32_t> tokens, positions;
    std::vector<std::byte*> pages;
    std::vector<AttentionSequence> sequences;
    std::vector<std::size_t> first_page;  // of each sequence, in pages
  };

  Decoder(DecoderConfig config, ThreadPool& threads, Isa isa);
  Status load_layer(const class TensorSource& source, int index);
  void prepare(std::span<const Segment> segments, const KvPool& pool);
  void attend(const Layer& layer, int index);
  void feed_forward(const Layer& layer);
  std::span<float> logits(std::span<const Segment> segments);

  DecoderConfig config_;
  Compute compute_;
  Rope rope_;
  Weights embedding_, head_;
  std::vector<float> final_norm_;
  std::vector<Layer> layers_;

  Batch batch_;
  RopeAngles angles_;  // of the batch's positions
  // Activations, [rows][n]; they keep the size of the largest batch seen, which the scheduler bounds.
  std::vector<float> residual_, normed_, qkv_, attended_, gate_, up_, last_, logits_;
};

}  // namespace stoa::models
