#include "gateway/api/openai/rerank_json.h"

#include <algorithm>
#include <numeric>

#include "data/index/reranker.h"

namespace stoa::gateway::openai {
namespace {

// A text, or an object with one under "text".
Result<std::string> parse_document(const Fields& body, const Json& document, std::size_t index) {
  const std::string path = fmt::format("documents[{}]", index);
  if (document.is_string()) return std::string(document.get_string());
  if (!document.is_object()) return body.wrong(path, "a string or an object with 'text'");
  STOA_TRY(text, Fields(document.get_object(), path).text("text"));
  if (!text) return body.wrong(path + ".text", "a string; it is required");
  return std::move(*text);
}

}  // namespace

Result<RerankCall> parse_rerank(const JsonObject& object) {
  const Fields body(object);
  RerankCall call;
  STOA_TRY(model, body.required_text("model"));
  call.model = std::move(model);
  STOA_TRY(query, body.required_text("query"));
  call.query = std::move(query);
  STOA_TRY(documents, body.array("documents", kMaxRerankDocuments));
  if (documents == nullptr || documents->empty()) return body.wrong("documents", "a non-empty list of texts; it is required");
  for (std::size_t i = 0; i < documents->size(); ++i) {
    STOA_TRY(text, parse_document(body, (*documents)[i], i));
    call.documents.push_back(std::move(text));
  }
  if (body.has("rank_fields")) return body.unsupported("rank_fields", "put what is to be ranked into 'text'");
  if (body.has("relevant_spans")) return body.unsupported("relevant_spans", "only whole documents are scored");
  if (body.has("max_chunks_per_doc")) return body.unsupported("max_chunks_per_doc", "a document is cut to what the model takes; send its parts as documents");
  STOA_TRY(top, body.integer_or("top_n", 1, INT32_MAX, INT32_MAX));
  call.top = std::min(static_cast<std::size_t>(top), call.documents.size());
  STOA_TRY(with_documents, body.flag_or("return_documents", false));
  call.return_documents = with_documents;
  STOA_TRY(tokens, body.integer_or("max_tokens_per_doc", 1, INT32_MAX, 0));
  call.document_tokens = static_cast<int>(tokens);
  return call;
}

JsonObject rerank_json(const RerankCall& call, std::string_view id, std::span<const float> scores, std::int64_t truncated, const UsageReport& report) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater(), [&](std::size_t i) { return scores[i]; });
  order.resize(std::min(order.size(), call.top));
  JsonArray results;
  for (const std::size_t index : order) {
    JsonObject result{{"index", index}, {"relevance_score", data::relevance(scores[index])}};
    if (call.return_documents) result["document"] = JsonObject{{"text", call.documents[index]}};
    results.emplace_back(std::move(result));
  }
  const std::int64_t tokens = report.usage.prompt_tokens;
  JsonObject stoa = stoa_json(report);
  stoa["truncated_documents"] = truncated;
  JsonObject out;
  out["id"] = id;
  out["object"] = "list";
  out["model"] = call.model;
  out["results"] = std::move(results);
  out["usage"] = JsonObject{{"prompt_tokens", tokens}, {"total_tokens", tokens}, {"stoa", std::move(stoa)}};
  // Where Cohere's clients look.
  out["meta"] = JsonObject{{"api_version", JsonObject{{"version", "2"}}}, {"tokens", JsonObject{{"input_tokens", tokens}, {"output_tokens", 0}}}};
  return out;
}

}  // namespace stoa::gateway::openai
