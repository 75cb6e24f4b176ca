// The forward pass of a decoder over a batch that mixes prompt chunks and single decoded tokens of many sequences.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/compute/backend.h"
#include "models/engine/adapter.h"
#include "models/engine/decoder_weights.h"
#include "models/engine/experts.h"
#include "models/engine/kv_pool.h"
#include "models/engine/model_config.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// New tokens of one sequence. Keys and values of the `position` tokens before them are in the pages already.
struct Segment {
  std::span<const std::int32_t> tokens;  // at least one, each within the vocabulary
  int position = 0;                      // of the first of them
  std::span<const PageId> pages;         // at least pages_for(position + tokens.size()); kNoPage where every layer's window is past it
  int logit_rows = 0;                    // how many of the last of them want logits, at most tokens.size()
  const Adapter* adapter = nullptr;      // of this model; null: the model as it is
};

// The first pass packs the matrices, so that a model nobody asks costs no memory; an embedding that is not the head as well is read where
// it lies in `file`, which outlives the decoder, as the backend does. One thread at a time.
class Decoder {
 public:
  // `context`: how many tokens a sequence may have, if fewer than the model allows. `kv_type`: how keys and values are kept. Errors: those
  // of read_decoder_config and TensorSource.
  static Result<Decoder> load(const GgufFile& file, Backend& backend, int context = 0, KvType kv_type = KvType::kF16);

  const DecoderConfig& config() const { return config_; }
  KvLayout kv_layout() const;
  DType weight_type() const { return weights_.layers.front()[kOutput].dtype; }  // of the bulk of the weights

  // Bytes of the weights once they are packed, those that stay in the file included.
  std::size_t weight_bytes() const { return weights_.bytes(backend_); }
  // Bytes of the activations of a step with so many rows, logits of `logit_rows` of them wanted.
  std::size_t activation_bytes(int rows, int logit_rows) const;

  // Writes keys and values of all segments into their pages. Returns a row of vocabulary logits for each row that a segment
  // wants them of, in order; valid until the next call, and the caller may overwrite it.
  std::span<float> forward(std::span<const Segment> segments, const KvPool& pool);

 private:
  // Rows of one adapter.
  struct Adapted {
    const Adapter* adapter = nullptr;
    std::int64_t first = 0;
    int rows = 0;
  };
  // Where the segments' rows and pages are, worked out once for all layers.
  struct Batch {
    int rows = 0;
    std::vector<std::int32_t> tokens, positions;
    std::vector<std::byte*> pages;
    std::vector<AttentionSequence> sequences;
    std::vector<std::size_t> first_page;  // of each sequence, in pages
    std::vector<std::size_t> order;       // segments as their rows stand: those of one adapter together
    std::vector<std::int64_t> last_row;   // of each segment
    std::vector<Adapted> adapted;
  };

  Decoder(DecoderConfig config, DecoderWeights weights, Backend& backend);
  void prepare(std::span<const Segment> segments, const KvPool& pool);
  void grow_buffers();
  // Products of the same input x, with what adapters add to them; `matrices` says of each which of the layer's it is.
  void multiply(int layer, const float* x, int cols, std::span<const Product> products, std::span<const Matrix> matrices);
  // Adds one product of x to the residual stream, through the norm if there is one.
  void add_to_residual(int layer, const float* x, int cols, Matrix matrix, const std::vector<float>& bias, const std::vector<float>& post_norm);
  void add_normed(const std::vector<float>& post_norm);
  void attend(int index);
  void project_heads(int index);
  void feed_forward(int index);
  std::span<float> logits(std::span<const Segment> segments);

  DecoderConfig config_;
  KvType kv_type_ = KvType::kF16;
  Backend& backend_;
  std::unique_ptr<Compute> compute_;
  DecoderWeights weights_;
  std::unique_ptr<WeightStore> packed_;
  bool is_packed_ = false;
  std::span<const std::byte> mapped_;  // the file's bytes, given back once they are packed
  ExpertMixture experts_;

  Batch batch_;
  std::vector<RopeAngles> angles_;  // of the batch's positions, for each rotary embedding
  // Activations, [rows][n]; they keep the size of the largest batch seen, which the scheduler bounds.
  std::vector<float> residual_, normed_, qkv_, attended_, gate_, up_, low_rank_, last_, logits_;
};

}  // namespace stoa::models
