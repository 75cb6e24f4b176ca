// The port through which documents are scored against a query by a model that reads both: together (a cross-encoder), or token by token (late interaction). Beside the Embedder, and
// like it implemented above, by models/engine.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"

namespace stoa::data {

struct Reranking {
  std::vector<float> scores;        // of each document, in their order: logits, any real number; higher fits the query better
  std::vector<int> tokens;          // of each pair, after truncation
  std::int64_t truncated = 0;       // documents that were cut
  std::int64_t compute_micros = 0;
};

// A score as the probability that the document fits the query, between 0 and 1.
inline double relevance(float score) { return 1 / (1 + std::exp(-static_cast<double>(score))); }

// Thread-safe. A pair has at most max_tokens() tokens: a document is cut at its end to what the query leaves, or to
// `document_tokens` of its own where that is less (0: no such limit). A document may be empty.
class Reranker {
 public:
  virtual ~Reranker() = default;
  // Errors: kTooLarge for a query that takes more than half of max_tokens() (it is never cut); kCancelled, kDeadlineExceeded.
  virtual Result<Reranking> rerank(const Call& call, const std::string& query, std::span<const std::string> documents, int document_tokens = 0) = 0;
  virtual int max_tokens() const = 0;
  virtual std::string model() const = 0;
  // How much of a passage's score its judgement is, 0..1; the rest is what the search gave it.
  virtual double share() const { return 1; }
};

}  // namespace stoa::data
