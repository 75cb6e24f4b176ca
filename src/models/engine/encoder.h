// The forward pass of a BERT-family encoder: texts to vectors, by the mean over their tokens and scaling to unit length, or pairs of
// texts to scores, by a classifier on the first token.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/compute/backend.h"
#include "models/engine/model_config.h"
#include "models/engine/tensor_source.h"

namespace stoa::models {

// A text of a batch, or two put together.
struct EncoderInput {
  std::vector<std::int32_t> tokens;
  std::size_t second = SIZE_MAX;  // from here on tokens are of type 1
};

// How a file calls its tensors.
enum class EncoderNames {
  kHuggingFace,  // of BertModel and RobertaModel, with or without the prefix "bert." or "roberta."
  kGguf,
};

// The first inputs have the matrices packed; embeddings are read where they lie in the file, which outlives the encoder, as the backend does. Inputs of any
// lengths are put one behind the other, so no work is spent on padding. One thread at a time.
class Encoder {
 public:
  // A classifier is loaded when config.labels is not 0. Errors: those of TensorSource.
  static Result<Encoder> load(const TensorSource& source, EncoderNames names, const EncoderConfig& config, Backend& backend);

  const EncoderConfig& config() const { return config_; }
  // Bytes of the weights once they are packed, embeddings in the file included.
  std::size_t weight_bytes() const;
  // One row of width() values of unit length for each input into `out`. An input is 1 to positions() ids within the vocabulary.
  void encode(std::span<const EncoderInput> inputs, float* out);
  // For each token of each input one row of width() values of unit length, as the last layer but one leaves it (of a model with one layer, that one): tokens say there what they
  // mean where they stand, while the last layer is trained for the mean over all of them.
  void encode_tokens(std::span<const EncoderInput> inputs, float* out);
  // The classifier's config().labels outputs (logits) for each input.
  void classify(std::span<const EncoderInput> inputs, float* out);

 private:
  struct Dense {
    Weights weights;
    std::vector<float> bias;
  };
  struct Norm {
    std::vector<float> weight, bias;
  };
  struct Layer {
    Dense q, k, v, attention_output, intermediate, output;
    Norm attention_norm, output_norm;

    std::array<Dense*, 6> products() { return {&q, &k, &v, &attention_output, &intermediate, &output}; }
    std::array<const Dense*, 6> products() const { return {&q, &k, &v, &attention_output, &intermediate, &output}; }
  };
  class Loader;

  Encoder(const EncoderConfig& config, Backend& backend)
      : config_(config), backend_(backend), compute_(backend.make_compute()), packed_(backend.make_weight_store()) {}
  void pack();
  void run_layers(std::span<const EncoderInput> inputs, std::size_t count);
  void embed_tokens(std::span<const EncoderInput> inputs);
  void prepare_pages(std::span<const EncoderInput> inputs);
  void keep_first_rows();
  void attend(const Layer& layer, bool first_rows);
  void feed_forward(const Layer& layer);
  void multiply(const Dense& dense, const float* x, float* y, bool accumulate = false);
  void norm(const Norm& norm, float* rows);

  EncoderConfig config_;
  Backend& backend_;
  std::unique_ptr<Compute> compute_;
  std::unique_ptr<WeightStore> packed_;
  bool is_packed_ = false;
  std::span<const std::byte> mapped_;  // the file's bytes, given back once they are packed
  Weights words_, positions_;
  std::vector<float> token_types_;  // [2][width]; one row where the model has one
  Norm embedding_norm_;
  std::vector<Layer> layers_;
  Dense pooler_, classifier_;       // pooler_ may be without weights: then the classifier stands on the first token itself

  // Of the current batch; they keep the size of the largest seen, which the caller bounds.
  int rows_ = 0;
  KvLayout layout_;  // of one layer: the pages serve every layer in turn
  std::vector<float> hidden_, looked_up_, qkv_, attended_, intermediate_;
  std::vector<std::byte> page_memory_;
  std::vector<std::byte*> pages_;
  std::vector<AttentionSequence> sequences_;
};

}  // namespace stoa::models
