// LoRA: an adapter adds to matrices of a model, y = x W^T + x A^T B^T, with A and B of low rank (Hu et al., "LoRA: Low-Rank Adaptation of
// Large Language Models", 2021). Two formats are read:
//   GGUF, as llama.cpp converts them: metadata adapter.type "lora" and adapter.lora.alpha; tensors <weight>.lora_a [rank, inputs] and
//   <weight>.lora_b [outputs, rank]
//   PEFT, a folder with adapter_config.json and adapter_model.safetensors (lora_A and lora_B of Hugging Face's module names)
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/engine/decoder_weights.h"
#include "models/formats/gguf.h"
#include "models/formats/safetensors.h"

namespace stoa::models {

// What is added to one matrix. B holds alpha / rank already; ranks are filled up to a multiple of 16 with zeros.
struct LowRank {
  Weights a, b;  // [rank][inputs], [outputs][rank]
};

// Immutable: any number of steps and threads may use it.
class Adapter {
 public:
  // `path` is a GGUF file or a PEFT folder. Errors: kInvalidArgument for all that is wrong with it: broken bytes and values that are no numbers,
  // another model's shapes (with tensor and both shapes), changes beyond the matrices of attention and feed-forward, options of PEFT that are
  // not supported; kNotFound, kTooLarge and what else opening a file can meet.
  static Result<std::shared_ptr<const Adapter>> load(const std::filesystem::path& path, const DecoderConfig& config, Backend& backend);
  // The same from files that are open, and the text of adapter_config.json, which errors call `config_name`. What is broken or beyond what
  // can be read is kDataLoss and kUnsupported here, as everywhere in files.
  static Result<std::shared_ptr<const Adapter>> from_gguf(const GgufFile& file, const DecoderConfig& config, Backend& backend);
  static Result<std::shared_ptr<const Adapter>> from_peft(std::string_view config_json, const std::string& config_name, const SafetensorsFile& file,
                                                          const DecoderConfig& config, Backend& backend);

  // Null where it leaves the matrix as it is.
  const LowRank* find(int layer, Matrix matrix) const {
    const auto& low = layers_[static_cast<std::size_t>(layer)][matrix];
    return low.a.data != nullptr ? &low : nullptr;
  }
  int rank() const { return rank_; }  // the largest, filled up
  std::size_t bytes() const { return bytes_; }

 private:
  friend class AdapterBuilder;
  static Result<std::shared_ptr<const Adapter>> load_gguf(const std::filesystem::path& path, const DecoderConfig& config, Backend& backend);
  static Result<std::shared_ptr<const Adapter>> load_peft(const std::filesystem::path& folder, const DecoderConfig& config, Backend& backend);

  std::vector<std::array<LowRank, kMatrices>> layers_;
  std::unique_ptr<WeightStore> packed_;  // of all of them
  int rank_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace stoa::models
