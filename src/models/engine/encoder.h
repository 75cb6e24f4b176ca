// The forward pass of a BERT-family encoder: texts to vectors, by the mean over their tokens and scaling to unit length.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/compute/compute.h"
#include "models/engine/model_config.h"
#include "models/engine/tensor_source.h"
#include "models/formats/safetensors.h"

namespace stoa::models {

// The first texts have the matrices packed; embeddings are read where they lie in `file`, which outlives the encoder. Texts of any
// lengths are put one behind the other, so no work is spent on padding. One thread at a time.
class Encoder {
 public:
  // Errors: those of TensorSource. Tensor names are those of Hugging Face's BertModel, with or without the prefix "bert.".
  static Result<Encoder> load(const SafetensorsFile& file, const EncoderConfig& config, ThreadPool& threads, Isa isa);

  const EncoderConfig& config() const { return config_; }
  // Bytes of the weights once they are packed, embeddings in the file included.
  std::size_t weight_bytes() const;
  // One row of width() values of unit length for each text into `out`. A text is 1 to positions() ids within the vocabulary.
  void encode(std::span<const std::vector<std::int32_t>> texts, float* out);

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

  Encoder(const EncoderConfig& config, ThreadPool& threads, Isa isa) : config_(config), compute_(threads, isa) {}
  void pack();
  Status load_weights(const TensorSource& source, const std::string& prefix);
  void embed_tokens(std::span<const std::vector<std::int32_t>> texts);
  void prepare_pages(std::span<const std::vector<std::int32_t>> texts);
  void run_layer(const Layer& layer);
  void norm(const Norm& norm, float* rows);

  EncoderConfig config_;
  Compute compute_;
  PackedWeights packed_;
  bool is_packed_ = false;
  std::span<const std::byte> mapped_;  // the file's bytes, given back once they are packed
  Weights words_, positions_;
  std::vector<float> token_type_;  // of type 0: a single text has no other
  Norm embedding_norm_;
  std::vector<Layer> layers_;

  // Of the current batch; they keep the size of the largest seen, which the caller bounds.
  int rows_ = 0;
  KvLayout layout_;  // of one layer: the pages serve every layer in turn
  std::vector<float> hidden_, looked_up_, qkv_, attended_, intermediate_;
  std::vector<std::byte> page_memory_;
  std::vector<std::byte*> pages_;
  std::vector<AttentionSequence> sequences_;
};

}  // namespace stoa::models
