// Rerank: the wire's JSON <-> a query, documents and their scores.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gateway/api/openai/chat_json.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::openai {

inline constexpr std::size_t kMaxRerankDocuments = 1000;

struct RerankCall {
  std::string model;
  std::string query;
  std::vector<std::string> documents;
  std::size_t top = 0;        // results wanted; at most as many as there are documents
  bool return_documents = false;
  int document_tokens = 0;    // Cohere's max_tokens_per_doc; 0: what the model takes
};

Result<RerankCall> parse_rerank(const JsonObject& body);

// The results, best first, equal ones in the order of the documents. `scores` are logits, one a document.
JsonObject rerank_json(const RerankCall& call, std::string_view id, std::span<const float> scores, std::int64_t truncated, const UsageReport& report);

}  // namespace stoa::gateway::openai
