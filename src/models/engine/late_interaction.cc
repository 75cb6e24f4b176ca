#include "models/engine/late_interaction.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "data/index/index.h"

namespace stoa::models {
namespace {

constexpr double kLeast = 1e-6;  // of a share whose logit is taken

// The rows of tokens of one text, without those that its tokenizer puts around it.
std::span<const float> inner(std::span<const float> rows, std::size_t width) {
  const std::size_t tokens = rows.size() / width;
  return tokens > 2 ? rows.subspan(width, (tokens - 2) * width) : rows;
}

// The mean over the tokens of `query` of the greatest cosine to one of `document`.
double mean_best(std::span<const float> query, std::span<const float> document, std::size_t width) {
  double sum = 0;
  for (std::size_t q = 0; q < query.size(); q += width) {
    float best = -1;
    for (std::size_t d = 0; d < document.size(); d += width) best = std::max(best, data::dot(query.data() + q, document.data() + d, width));
    sum += static_cast<double>(best);
  }
  return sum / static_cast<double>(query.size() / width);
}

}  // namespace

Result<data::Reranking> LateInteraction::rerank(const Call& call, const std::string& query, std::span<const std::string> documents, int document_tokens) {
  Span span = call.span("rerank " + model());
  span.set("gen_ai.operation.name", std::string("rerank"));
  span.set("gen_ai.request.model", model_.name());
  std::vector<EncoderInput> inputs{model_.input_of(query)};
  data::Reranking result;
  for (const std::string& document : documents) {
    EncoderInput input = model_.input_of(document);
    if (document_tokens > 0 && input.tokens.size() > static_cast<std::size_t>(document_tokens) + 2) {
      input.tokens[static_cast<std::size_t>(document_tokens) + 1] = input.tokens.back();
      input.tokens.resize(static_cast<std::size_t>(document_tokens) + 2);
    }
    result.truncated += input.tokens.size() < model_.tokenizer().encode(document).size();
    result.tokens.push_back(static_cast<int>(input.tokens.size()));
    inputs.push_back(std::move(input));
  }
  const auto width = static_cast<std::size_t>(model_.config().width);
  std::size_t tokens = 0;
  for (const EncoderInput& input : inputs) tokens += input.tokens.size();
  std::vector<float> rows(tokens * width);
  auto micros = model_.run_tokens(call, inputs, rows.data());
  if (!micros) {
    span.fail(micros.error().message);
    return fail(std::move(micros).error());
  }
  result.compute_micros = *micros;
  std::span<const float> rest(rows);
  const auto take = [&](const EncoderInput& input) {
    const auto own = rest.first(input.tokens.size() * width);
    rest = rest.subspan(own.size());
    return inner(own, width);
  };
  const auto asked = take(inputs.front());
  for (std::size_t i = 1; i < inputs.size(); ++i) {
    const double likeness = std::clamp(mean_best(asked, take(inputs[i]), width), kLeast, 1 - kLeast);
    result.scores.push_back(static_cast<float>(std::log(likeness / (1 - likeness))));
  }
  span.set("stoa.rerank.documents", static_cast<std::int64_t>(documents.size()));
  span.set("gen_ai.usage.input_tokens", std::accumulate(result.tokens.begin(), result.tokens.end(), std::int64_t{0}));
  return result;
}

}  // namespace stoa::models
