#include "models/engine/local_embedder.h"

#include <numeric>
#include <utility>

namespace stoa::models {

Result<std::unique_ptr<LocalEmbedder>> LocalEmbedder::load(const std::filesystem::path& folder, std::string name, const EncoderOptions& options,
                                                          Backend& backend, Metrics& metrics) {
  STOA_TRY(model, EncoderModel::load(folder, std::move(name), EncoderTask::kEmbed, options, backend, metrics));
  return std::unique_ptr<LocalEmbedder>(new LocalEmbedder(std::move(model)));
}

Result<int> LocalEmbedder::count_tokens(const std::string& text) const { return static_cast<int>(model_->tokenizer().encode(text).size()); }

Result<data::Embeddings> LocalEmbedder::embed(const Call& call, std::span<const std::string> texts) {
  Span span = call.span("embeddings " + model());
  span.set("gen_ai.operation.name", std::string("embeddings"));
  span.set("gen_ai.request.model", model());
  std::vector<EncoderInput> inputs;
  inputs.reserve(texts.size());
  data::Embeddings result{.dimensions = dimensions(), .values = {}, .tokens = {}, .compute_micros = 0};
  for (const auto& text : texts) {
    inputs.push_back(model_->input_of(text));
    result.tokens.push_back(static_cast<int>(inputs.back().tokens.size()));
  }
  result.values.resize(texts.size() * static_cast<std::size_t>(dimensions()));
  auto micros = model_->run(call, inputs, result.values.data());
  if (!micros) {
    span.fail(micros.error().message);
    return fail(std::move(micros).error());
  }
  result.compute_micros = *micros;
  span.set("gen_ai.usage.input_tokens", std::accumulate(result.tokens.begin(), result.tokens.end(), std::int64_t{0}));
  return result;
}

}  // namespace stoa::models
