// The Reranker over a BERT-family cross-encoder.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "data/index/reranker.h"
#include "models/engine/encoder_model.h"

namespace stoa::models {

class LocalReranker final : public data::Reranker {
 public:
  // `name` is what callers call the model. As EncoderModel::load.
  static Result<std::unique_ptr<LocalReranker>> load(const std::filesystem::path& folder, std::string name, const EncoderOptions& options,
                                                     Backend& backend, Metrics& metrics);

  Result<data::Reranking> rerank(const Call& call, const std::string& query, std::span<const std::string> documents, int document_tokens) override;
  int max_tokens() const override { return model_->max_tokens(); }
  std::string model() const override { return model_->name(); }

 private:
  explicit LocalReranker(std::unique_ptr<EncoderModel> model) : model_(std::move(model)) {}

  const std::unique_ptr<EncoderModel> model_;
};

}  // namespace stoa::models
