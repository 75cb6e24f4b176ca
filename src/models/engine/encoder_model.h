// An encoder with its files and its tokenizer, and the turns that calls take at it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "contracts/call.h"
#include "models/engine/encoder.h"
#include "models/formats/gguf.h"
#include "models/formats/safetensors.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

struct EncoderOptions {
  // Longer inputs are cut, special tokens included; at most the model's positions. None: what the model was made to read, by max_seq_length in the sentence_bert_config.json
  // of its folder (of sentence-transformers), and 256 where that says nothing.
  std::optional<int> max_tokens = {};
  int batch_tokens = 1024;  // computed together
};

// What an encoder is asked for: texts as vectors, or pairs of texts as scores.
enum class EncoderTask { kEmbed, kScore };

// Thread-safe; calls take turns at the encoder, batch by batch, so that a large one does not hold up a small one.
class EncoderModel {
 public:
  // `folder` holds config.json, tokenizer.json and model.safetensors, or one GGUF file. `backend` and `metrics` outlive the model.
  // Errors: those of the readers, Tokenizer and Encoder; kUnsupported for a model that was not made for `task`.
  static Result<std::unique_ptr<EncoderModel>> load(const std::filesystem::path& folder, std::string name, EncoderTask task,
                                                    const EncoderOptions& options, Backend& backend, Metrics& metrics);

  const std::string& name() const { return name_; }
  const Tokenizer& tokenizer() const { return tokenizer_; }
  const EncoderConfig& config() const { return encoder_.config(); }
  int max_tokens() const { return max_tokens_; }

  // The tokens of a text, special ones included, cut to max_tokens().
  EncoderInput input_of(const std::string& text) const;
  // Embeds or scores `inputs` of 1 to max_tokens() tokens, in batches, into rows of config().width or config().labels values.
  // Gives the compute time in microseconds. Errors: kCancelled, kDeadlineExceeded.
  Result<std::int64_t> run(const Call& call, std::span<const EncoderInput> inputs, float* out);
  // The same for each token of the inputs: Encoder::encode_tokens, input behind input.
  Result<std::int64_t> run_tokens(const Call& call, std::span<const EncoderInput> inputs, float* out);

 private:
  // One of the two; they hold the weights.
  struct Files {
    std::optional<SafetensorsFile> safetensors;
    std::optional<GgufFile> gguf;
  };
  struct Parts {
    Files files;
    Tokenizer tokenizer;
    Encoder encoder;
  };
  static Result<Parts> load_gguf(const std::filesystem::path& path, EncoderTask task, Backend& backend);
  static Result<Parts> load_folder(const std::filesystem::path& folder, EncoderTask task, Backend& backend);

  EncoderModel(std::string name, EncoderTask task, Parts parts, int max_tokens, int batch_tokens, Metrics& metrics);
  // `compute` gets a batch and how many inputs and tokens came before it.
  using Compute = std::function<void(std::span<const EncoderInput> batch, std::size_t inputs, std::size_t tokens)>;
  Result<std::int64_t> run_batches(const Call& call, std::span<const EncoderInput> inputs, const Compute& compute);
  std::optional<Error> take_turn(const Call& call);
  void end_turn();

  const std::string name_;
  const EncoderTask task_;
  Files files_;
  Tokenizer tokenizer_;
  const int max_tokens_, batch_tokens_;
  Counter &tokens_total_, &compute_seconds_;

  std::mutex mutex_;
  std::condition_variable free_;
  bool busy_ = false;  // guarded
  Encoder encoder_;    // whoever set busy_ owns it; its configuration is anyone's
};

}  // namespace stoa::models
