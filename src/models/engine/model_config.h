// What a model file says about its architecture, checked before anything is computed with it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "models/compute/compute.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// A decoder of the llama shape: RMS norm, rotary positions, grouped-query attention, gated SiLU feed-forward. The families differ
// in the style of rotation and in optional tensors (biases of q, k, v in qwen2; norms of q and k heads in qwen3), which are used
// where the file has them.
struct DecoderConfig {
  std::string architecture;  // "llama" (llama, smollm2, mistral), "qwen2", "qwen3"
  std::string name;          // general.name, or the file's name
  int layers = 0;
  int width = 0;             // of the residual stream
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int context_length = 0;    // that the model was made for; where it has a sliding window, at most that
  float norm_epsilon = 0;
  RopeStyle rope_style = RopeStyle::kInterleaved;
  int rope_dim = 0;          // leading elements of each head that are turned
  double rope_base = 10000;
  double rope_scale = 1;     // multiplies positions (linear scaling)
};

// Errors: kUnsupported names the architecture or feature that is not implemented and what is; kDataLoss and kInvalidArgument name the key.
Result<DecoderConfig> read_decoder_config(const GgufFile& file);

// An encoder of the BERT shape.
struct EncoderConfig {
  std::string name;
  int layers = 0;
  int width = 0;
  int heads = 0;
  int feed_forward = 0;
  int vocabulary = 0;
  int token_types = 0;
  int positions = 0;         // learned positions: the longest input
  float norm_epsilon = 0;
  bool gelu_tanh = false;    // "gelu_new" instead of "gelu"
};

// From Hugging Face's config.json; `file` is what errors call it.
Result<EncoderConfig> read_encoder_config(std::string_view json, std::string_view file);

}  // namespace stoa::models
