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
  bool in_context = false;  // it stands around the passage, in its section, not in it
  Sentence place;           // in passages[passage].text, or .context
  std::set<std::string> words;
  std::string_view language;  // of the passage
  std::vector<float> vector;  // empty without an embedder
  double cosine = 0;          // to the question; 0 without an embedder
  double relevance = 0;       // to the question, 0..1
};

struct Support {
  std::size_t sentence = 0;  // index into Evidence::sentences()
  double score = 0;          // 0..1
};

// What is known of a statement by words and vectors alone.
struct Supports {
  std::vector<Support> found;       // best first, one a passage, at most settings.citations
  std::optional<Support> doubtful;  // where none was found: the nearest sentence from settings.judge_support on, which a judge may decide on
};

// What speaks for the sentence that is nearest to a question answering it. The last three are told by English words and by capitals.
struct AnswerSignals {
  double cosine = 0;         // of the two
  double coverage = 0;       // share of the question's content words that the sentence has
  double missing_names = 0;  // names and numbers of the question that its passage does not have, at most 3
  double answer_type = 1;    // 0 when the question asks who, where, when or how many, and the sentence has no such thing that the question has not
  double negation = 0;       // 1 when the question is negated, and the sentence is not
};

double answer_probability(const AnswerFormula& formula, const AnswerSignals& signals);

class Evidence {
 public:
  static constexpr std::size_t kMaxSentences = 64;

  // `embedder` may be null: then only words count. Reads the first settings.max_passages passages, which outlive the evidence, and as far as there is
  // room what stands around them.
  static Result<Evidence> collect(const Call& call, data::Embedder* embedder, const GroundingSettings& settings,
                                  std::string_view question, std::span<const Passage> passages);

  const std::vector<EvidenceSentence>& sentences() const { return sentences_; }
  std::string_view text(std::size_t sentence) const;
  // How well the best sentence, or the best passage as a whole, fits the question: 0..1.
  double relevance() const { return relevance_; }

  const AnswerSignals& signals() const { return signals_; }
  // Whether the passages seem to answer the question: by settings.answerable, or without an embedder by settings.relevance. Where question and passages are
  // in scripts without spaces, they must share a word: an embedder that does not know a script takes all its texts for alike.
  bool answers() const;

  // The sentences that say what `statement` says.
  Result<Supports> support(const Call& call, std::string_view statement) const;

  std::int64_t compute_micros() const { return compute_micros_; }

 private:
  Evidence(data::Embedder* embedder, const GroundingSettings& settings, std::span<const Passage> passages)
      : embedder_(embedder), settings_(&settings), passages_(passages) {}
  void keep_best(std::vector<Support>& found) const;
  void add_sentences(std::size_t passage, bool in_context);
  void judge_relevance(std::string_view question, std::span<const float> question_vector);
  void judge_signals(std::string_view question);

  data::Embedder* embedder_;
  const GroundingSettings* settings_;
  std::span<const Passage> passages_;
  std::vector<EvidenceSentence> sentences_;
  double relevance_ = 0;
  bool strange_ = false;  // question and passages are in scripts without spaces, and share no word
  AnswerSignals signals_;
  std::int64_t compute_micros_ = 0;
};

}  // namespace stoa::gateway
