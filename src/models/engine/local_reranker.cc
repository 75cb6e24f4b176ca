#include "models/engine/local_reranker.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace stoa::models {

Result<std::unique_ptr<LocalReranker>> LocalReranker::load(const std::filesystem::path& folder, std::string name, const EncoderOptions& options,
                                                          Backend& backend, Metrics& metrics) {
  STOA_TRY(model, EncoderModel::load(folder, std::move(name), EncoderTask::kScore, options, backend, metrics));
  return std::unique_ptr<LocalReranker>(new LocalReranker(std::move(model)));
}

Result<data::Reranking> LocalReranker::rerank(const Call& call, const std::string& query, std::span<const std::string> documents, int document_tokens) {
  Span span = call.span("rerank " + model());
  span.set("gen_ai.operation.name", std::string("rerank"));
  span.set("gen_ai.request.model", model());
  const PairFrame& frame = *model_->tokenizer().pair_frame();
  const auto append = [](std::vector<std::int32_t>& to, std::span<const TokenId> tokens) { to.insert(to.end(), tokens.begin(), tokens.end()); };

  std::vector<std::int32_t> head = frame.prefix;
  model_->tokenizer().encode(query, {.add_special = false}, head);
  const auto limit = static_cast<std::size_t>(max_tokens());
  if (const auto size = head.size() - frame.prefix.size(); size > limit / 2) {
    auto problem = error(ErrorCode::kTooLarge, "the query has {} tokens; '{}' takes {} with {} left for documents", size, model(), limit / 2, limit - limit / 2)
                       .with_param("query").with_hint("shorten the query");
    span.fail(problem.message);
    return fail(std::move(problem));
  }
  append(head, frame.middle);
  std::size_t room = limit - std::min(limit, head.size() + frame.suffix.size());
  if (document_tokens > 0) room = std::min(room, static_cast<std::size_t>(document_tokens));

  data::Reranking result;
  std::vector<EncoderInput> inputs;
  inputs.reserve(documents.size());
  std::vector<TokenId> tokens;
  for (const auto& document : documents) {
    tokens.clear();
    model_->tokenizer().encode(document, {.add_special = false}, tokens);
    if (tokens.size() > room) {
      tokens.resize(room);
      ++result.truncated;
    }
    EncoderInput input{.tokens = head, .second = frame.second_type == 1 ? head.size() : SIZE_MAX};
    append(input.tokens, tokens);
    append(input.tokens, frame.suffix);
    result.tokens.push_back(static_cast<int>(input.tokens.size()));
    inputs.push_back(std::move(input));
  }
  result.scores.resize(documents.size());
  auto micros = model_->run(call, inputs, result.scores.data());
  if (!micros) {
    span.fail(micros.error().message);
    return fail(std::move(micros).error());
  }
  result.compute_micros = *micros;
  span.set("stoa.rerank.documents", static_cast<std::int64_t>(documents.size()));
  span.set("gen_ai.usage.input_tokens", std::accumulate(result.tokens.begin(), result.tokens.end(), std::int64_t{0}));
  return result;
}

}  // namespace stoa::models
