// The Embedder over a BERT-family model in a folder: config.json, tokenizer.json, model.safetensors.
#pragma once

#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "data/index/embedder.h"
#include "models/engine/encoder.h"
#include "models/formats/safetensors.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

struct EmbedderOptions {
  Isa isa = best_isa();
  int max_tokens = 256;     // longer texts are cut, [CLS] and [SEP] included; at most the model's positions
  int batch_tokens = 1024;  // computed together
};

// Thread-safe; calls take turns at the encoder, batch by batch, so that a large one does not hold up a small one.
class LocalEmbedder final : public data::Embedder {
 public:
  // `name` is what callers call the model. `threads` and `metrics` outlive the embedder.
  // Errors: those of the readers, Tokenizer and Encoder.
  static Result<std::unique_ptr<LocalEmbedder>> load(const std::filesystem::path& folder, std::string name, const EmbedderOptions& options,
                                                     ThreadPool& threads, Metrics& metrics);

  Result<data::Embeddings> embed(const Call& call, std::span<const std::string> texts) override;
  Result<int> count_tokens(const std::string& text) const override;
  int dimensions() const override { return encoder_.config().width; }
  int max_tokens() const override { return max_tokens_; }
  std::string model() const override { return name_; }

 private:
  LocalEmbedder(std::string name, SafetensorsFile file, Tokenizer tokenizer, Encoder encoder, int max_tokens, int batch_tokens, Metrics& metrics);
  std::vector<std::int32_t> tokens_of(const std::string& text) const;
  std::optional<Error> take_turn(const Call& call);
  void end_turn();

  const std::string name_;
  SafetensorsFile file_;
  Tokenizer tokenizer_;
  const int max_tokens_, batch_tokens_;
  Counter &tokens_total_, &compute_seconds_;

  std::mutex mutex_;
  std::condition_variable free_;
  bool busy_ = false;  // guarded
  Encoder encoder_;    // whoever set busy_ owns it; its configuration is anyone's
};

}  // namespace stoa::models
