// The sentences of the retrieved passages, and how well they support a statement or answer a question.
//
// Two measures are joined: lexical (share of content words found) and semantic (cosine of sentence embeddings). Words alone
// miss paraphrases, vectors alone confuse "must" and "must not" or one number with another, so numbers and negation are
// compared literally on top.
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "contracts/call.h"
#include "contracts/retrieval.h"
#include "data/index/embedder.h"
#include "gateway/grounding/sentences.h"
#include "gateway/grounding/settings.h"

namespace stoa::gateway {

struct EvidenceSentence {
  std::size_t passage = 0;  // index into the passages given to collect()
  Sentence place;           // in passages[passage].text
  std::set<std::string> words;
  std::vector<float> vector;  // empty without an embedder
  double relevance = 0;       // to the question, 0..1
};

struct Support {
  std::size_t sentence = 0;  // index into Evidence::sentences()
  double score = 0;          // 0..1
};

class Evidence {
 public:
  static constexpr std::size_t kMaxSentences = 64;

  // `embedder` may be null: then only words count. Reads the first settings.max_passages passages, which outlive the evidence.
  static Result<Evidence> collect(const Call& call, data::Embedder* embedder, const GroundingSettings& settings,
                                  std::string_view question, std::span<const Passage> passages);

  const std::vector<EvidenceSentence>& sentences() const { return sentences_; }
  std::string_view text(std::size_t sentence) const;
  // How well the best sentence, or the best passage as a whole, fits the question: 0..1.
  double relevance() const { return relevance_; }

  // The sentence that says what `statement` says; nothing when none does.
  Result<std::optional<Support>> support(const Call& call, std::string_view statement) const;

  std::int64_t compute_micros() const { return compute_micros_; }

 private:
  Evidence(data::Embedder* embedder, const GroundingSettings& settings, std::span<const Passage> passages)
      : embedder_(embedder), settings_(&settings), passages_(passages) {}
  void judge_relevance(std::string_view question, std::span<const float> question_vector);

  data::Embedder* embedder_;
  const GroundingSettings* settings_;
  std::span<const Passage> passages_;
  std::vector<EvidenceSentence> sentences_;
  double relevance_ = 0;
  std::int64_t compute_micros_ = 0;
};

}  // namespace stoa::gateway
