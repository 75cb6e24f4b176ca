// Models that say what they are told and a handbook to ask about, for the tests of this folder.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "gateway/grounding/extractive.h"
#include "gateway/grounding/generative.h"

namespace stoa::gateway {

// A file of the source tree, and share/prompts.yaml read; grounding_test.cc has them.
std::string sample(const std::string& file);
GroundingSettings settings();

// Vectors of word counts: texts are near when they share words.
class WordEmbedder : public data::Embedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    constexpr std::size_t kWidth = 256;
    data::Embeddings out{.dimensions = kWidth, .values = {}, .tokens = {}, .compute_micros = 5};
    for (const std::string& text : texts) {
      std::vector<float> row(kWidth);
      for (const std::string& word : content_words(text)) row[std::hash<std::string>()(word) % kWidth] += 1;
      float sum = 0;
      for (const float value : row) sum += value * value;
      for (float& value : row) value /= std::sqrt(std::max(sum, 1e-9f));
      out.values.insert(out.values.end(), row.begin(), row.end());
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size() / 4); }
  int dimensions() const override { return 256; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "words"; }
};

// Says what it was told to, a few bytes at a time, and remembers the prompt.
class Parrot : public models::Generator {
 public:
  explicit Parrot(std::string text, FinishReason finish = FinishReason::kStop) : text_(std::move(text)), finish_(finish) {}
  Result<ChatOutcome> generate(const Call&, const ChatRequest& request, const models::DeltaSink& sink) override {
    if (request.max_tokens < 100) return aside(request, sink);
    asked = request;
    for (std::size_t i = 0; i < text_.size(); i += 3) {
      ++deltas;
      if (!sink({.text = text_.substr(i, 3), .logprobs = {}})) return ChatOutcome{.finish = FinishReason::kCancelled, .usage = usage_};
    }
    return ChatOutcome{.finish = finish_, .usage = usage_};
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override {
    std::int64_t bytes = 0;
    for (const ChatMessage& message : request.messages) bytes += static_cast<std::int64_t>(message.content.size());
    return bytes / 4;
  }
  int context_length() const override { return 2048; }

  ChatRequest asked;
  int deltas = 0;
  std::string aside_answer;             // to short questions beside the answer; empty: they fail
  std::vector<ChatRequest> asides;

 private:
  Result<ChatOutcome> aside(const ChatRequest& request, const models::DeltaSink& sink) {
    asides.push_back(request);
    if (aside_answer.empty()) return fail(ErrorCode::kUnavailable, "not now");
    sink({.text = aside_answer, .logprobs = {}});
    return ChatOutcome{.finish = FinishReason::kStop, .usage = usage_};
  }

  std::string text_;
  FinishReason finish_;
  const Usage usage_{.prompt_tokens = 10, .cached_tokens = 0, .completion_tokens = 5, .compute_micros = 100, .queue_micros = 0, .first_token_micros = 0, .total_micros = 0};
};

inline Passage passage(std::string text, std::string title = "Handbook") {
  Passage out;
  out.chunk_id = "chunk_1";
  out.document_id = "doc_1";
  out.title = std::move(title);
  out.section = {"Keys"};
  out.text = std::move(text);
  return out;
}

inline GroundingRequest request(std::string question) {
  GroundingRequest out;
  out.question = std::move(question);
  out.passages = {passage("A key is rotated every 90 days by the security team. The team announces the rotation a week before."),
                  passage("Lunch is served in the canteen from noon. Visitors must not enter the canteen without a badge."),
                  passage("The printer on the third floor is called Gutenberg.")};
  return out;
}

struct Said {
  Result<GroundedAnswer> answer;
  std::string stream;
};

inline Said ask(Answerer& answerer, const GroundingRequest& request) {
  Said said{.answer = GroundedAnswer{}, .stream = {}};
  said.answer = answerer.answer({}, request, [&](const AnswerPiece& piece) {
    said.stream += piece.text;
    return true;
  });
  return said;
}

// What every answer keeps to, whatever made it.
inline void check_invariants(const Said& said) {
  ASSERT_TRUE(said.answer) << said.answer.error().message;
  const GroundedAnswer& answer = *said.answer;
  EXPECT_EQ(said.stream, answer.text);
  EXPECT_EQ(answer.answered, !answer.citations.empty() || !answer.unsupported.empty());
  std::size_t begin = 0, end = 0;
  for (const Citation& citation : answer.citations) {
    EXPECT_TRUE(end <= citation.begin || (citation.begin == begin && citation.end == end)) << "in the order of the text";
    EXPECT_LT(citation.begin, citation.end);
    EXPECT_LE(citation.end, answer.text.size());
    begin = citation.begin, end = citation.end;
    ASSERT_LT(citation.passage, answer.passages.size());
    const Passage& cited = answer.passages[citation.passage];
    EXPECT_EQ((citation.in_context ? cited.context : cited.text).substr(citation.from, citation.to - citation.from), citation.quote);
  }
}

}  // namespace stoa::gateway
