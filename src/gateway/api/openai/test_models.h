// Models that say what they are told, for the tests of the routes.
#pragma once

#include <algorithm>
#include <cmath>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/index/embedder.h"
#include "data/index/reranker.h"
#include "models/engine/generator.h"

namespace stoa::gateway::openai {

// Repeats a text token by token; can refuse, or fail after some tokens.
class Speaker : public models::Generator {
 public:
  std::vector<std::string> tokens{"Par", "is", "."};
  std::optional<Error> refuse;
  int fail_after = -1;
  Deadline deadline;
  std::mutex mutex;  // alternatives are asked for at the same time
  ChatRequest asked;

  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override {
    {
      std::lock_guard lock(mutex);
      asked = request;
      deadline = call.deadline;
    }
    if (refuse) return stoa::fail(*refuse);
    const std::size_t limit = request.max_tokens > 0 ? std::min<std::size_t>(tokens.size(), request.max_tokens) : tokens.size();
    ChatOutcome outcome{.finish = limit < tokens.size() ? FinishReason::kLength : FinishReason::kStop, .usage = {}};
    outcome.usage.prompt_tokens = *count_prompt_tokens(request);
    for (std::size_t i = 0; i < limit; ++i) {
      if (fail_after == static_cast<int>(i)) return stoa::fail(ErrorCode::kDeadlineExceeded, "out of time");
      ++outcome.usage.completion_tokens;
      if (call.cancel.cancelled() || !sink({.text = tokens[i], .logprobs = {}})) {
        outcome.finish = FinishReason::kCancelled;
        break;
      }
    }
    outcome.usage.compute_micros = 1000;
    return outcome;
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override {
    std::int64_t count = static_cast<std::int64_t>(request.prompt.size());
    for (const ChatMessage& message : request.messages) count += static_cast<std::int64_t>(message.content.size());
    return count;
  }
  int context_length() const override { return 4000; }
  std::vector<models::NamedAdapter> adapters(std::string_view project) const override {
    std::vector<models::NamedAdapter> all{{"polite", "sha256:polite"}};
    if (project == "proj_of_others") all.push_back({"rude", ""});
    return all;
  }
};

class Letters : public data::Embedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    data::Embeddings out{.dimensions = 32, .values = {}, .tokens = {}, .compute_micros = 1};
    for (const std::string& text : texts) {
      std::vector<float> row(32, 0.01f);
      for (const char c : text) row[static_cast<unsigned char>(c) % 32] += 1;
      float sum = 0;
      for (const float value : row) sum += value * value;
      for (float& value : row) value /= std::sqrt(sum);
      out.values.insert(out.values.end(), row.begin(), row.end());
      out.tokens.push_back(static_cast<int>(text.size()));
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size()) + 2; }
  int dimensions() const override { return 32; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "letters"; }
};

// Scores a document by how many of the query's letters it has; 8 tokens at most.
class Judge : public data::Reranker {
 public:
  float surplus = 0;

  Result<data::Reranking> rerank(const Call&, const std::string& query, std::span<const std::string> documents, int document_tokens) override {
    if (query.size() > 4) return stoa::fail(error(ErrorCode::kTooLarge, "the query is too long").with_param("query"));
    data::Reranking out;
    for (const std::string& document : documents) {
      const std::string_view read = std::string_view(document).substr(0, document_tokens > 0 ? static_cast<std::size_t>(document_tokens) : 8);
      out.truncated += read.size() < document.size();
      out.scores.push_back(static_cast<float>(std::ranges::count_if(read, [&](char c) { return query.contains(c); })) - 1 + surplus);
      out.tokens.push_back(static_cast<int>(read.size() + query.size()));
    }
    out.compute_micros = 5;
    return out;
  }
  int max_tokens() const override { return 8; }
  std::string model() const override { return "judge"; }
};

inline constexpr std::string_view kPrices = R"(currency: USD
as_of: "2026-01-01"
source: test
prices:
  - model: "*"
    per_compute_second: 1000000
)";

}  // namespace stoa::gateway::openai
