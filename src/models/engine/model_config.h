// What a model file says about its architecture, checked before anything is computed with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/compute/compute.h"
#include "models/formats/gguf.h"

namespace stoa::models {

enum class Activation : std::uint8_t { kSilu, kGelu };  // of a feed-forward's gate; GELU in its tanh form

// One rotary embedding; Rope (compute.h) says what the numbers do.
struct RopeConfig {
  RopeStyle style = RopeStyle::kInterleaved;
  int dim = 0;          // leading elements of each head that are turned
  double base = 10000;
  double scale = 1;     // multiplies positions
  double magnitude = 1;
  bool yarn = false;
  Yarn ramp;
  // LongRoPE: the file has factors for short and for long contexts, and a context beyond this many tokens takes the long ones. 0: none.
  int original_context = 0;
};

// What tells one layer from another.
struct LayerPlan {
  int rope = 0;    // which of DecoderConfig::ropes
  int window = 0;  // > 0: attention sees only the last so many positions
};

// A mixture of experts instead of one feed-forward: each row goes through the `used` experts that the router likes best.
struct ExpertConfig {
  int count = 0;             // 0: no experts
  int used = 0;
  int feed_forward = 0;      // of one expert
  int shared = 0;            // of an expert that every row takes, with a gate of its own; 0: none
  bool normalized = true;    // the weights of the experts used are made to sum to 1
  float scale = 1;           // of the weights, after that
};

// A decoder: RMS norm, rotary positions, grouped-query attention, gated feed-forward. The families differ in the fields below; and in
// optional tensors (biases, norms of q and k heads, q k v or gate and up in one tensor, factors of frequencies), which are used where the
// file has them.
struct DecoderConfig {
  std::string architecture;  // "llama" (llama, smollm2, mistral, mixtral), "qwen2", "gemma3"...: kFamilies in model_config.cc
  std::string name;          // general.name, or the file's name
  int layers = 0;
  int width = 0;             // of the residual stream
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int context_length = 0;    // that the model was made for
  float norm_epsilon = 0;
  Activation activation = Activation::kSilu;
  float embedding_scale = 1;    // multiplies the embeddings
  float attention_scale = 0;    // multiplies q k^T
  float attention_softcap = 0;  // > 0: scores s count as cap * tanh(s / cap)
  float logit_softcap = 0;      // the same of the logits
  bool gate_in_up = false;      // the gate stands in the tensor ffn_up, before it
  bool post_norms = false;      // what attention and feed-forward give is normed before it is added
  ExpertConfig experts;
  std::vector<RopeConfig> ropes;
  std::vector<LayerPlan> plan;  // of each layer

  // How many positions a token sees, its own included, where every layer has a window; 0: all.
  int window() const;
};

// Errors: kUnsupported names the architecture or feature that is not implemented and what is; kDataLoss and kInvalidArgument name the key.
Result<DecoderConfig> read_decoder_config(const GgufFile& file);

// An encoder of the BERT shape: BERT, RoBERTa, XLM-RoBERTa.
struct EncoderConfig {
  std::string name;
  int layers = 0;
  int width = 0;
  int heads = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int token_types = 0;
  int positions = 0;         // learned positions: the longest input
  int first_position = 0;    // row of the first token in the table of positions, which has this many rows more (RoBERTa: 2)
  float norm_epsilon = 0;
  bool gelu_tanh = false;    // "gelu_new" instead of "gelu"
  int labels = 0;            // scores of the classifier on top; 0: there is none
  bool roberta = false;      // in the names of Hugging Face's tensors
};

// From Hugging Face's config.json; `file` is what errors call it.
Result<EncoderConfig> read_encoder_config(std::string_view json, std::string_view file);
// From a GGUF file of the architecture "bert": an embedding model with mean pooling, or a reranker. Errors: as read_decoder_config.
Result<EncoderConfig> read_encoder_config(const GgufFile& file);

}  // namespace stoa::models
