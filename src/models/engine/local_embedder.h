// The Embedder over a BERT-family model.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "data/index/embedder.h"
#include "models/engine/encoder_model.h"

namespace stoa::models {

class LocalEmbedder final : public data::Embedder {
 public:
  // `name` is what callers call the model. As EncoderModel::load.
  static Result<std::unique_ptr<LocalEmbedder>> load(const std::filesystem::path& folder, std::string name, const EncoderOptions& options,
                                                     Backend& backend, Metrics& metrics);

  Result<data::Embeddings> embed(const Call& call, std::span<const std::string> texts) override;
  Result<int> count_tokens(const std::string& text) const override;
  int dimensions() const override { return model_->config().width; }
  int max_tokens() const override { return model_->max_tokens(); }
  std::string model() const override { return model_->name(); }
  EncoderModel& encoder() const { return *model_; }

 private:
  explicit LocalEmbedder(std::unique_ptr<EncoderModel> model) : model_(std::move(model)) {}

  const std::unique_ptr<EncoderModel> model_;
};

}  // namespace stoa::models
