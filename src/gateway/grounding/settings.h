// How grounded answers are worded and bounded. The values are data: share/prompts.yaml.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "gateway/grounding/sentences.h"

namespace stoa::gateway {

// When passages answer a question: 1 / (1 + exp(-(intercept + sum of coefficient times signal))) is at least `least`. The signals are AnswerSignals of
// evidence.h; bench/retrieval/answerable.py fits the coefficients.
struct AnswerFormula {
  double intercept = 0, cosine = 0, coverage = 0, missing_names = 0, answer_type = 0, negation = 0;
  double least = 0;
};

struct GroundingSettings {
  enum class Rewrite { kNever, kAuto, kAlways };
  std::string version;    // digest of the file they were read from: "sha256:..."
  std::string system;     // system message
  std::string passage;    // one passage: {number}, {title}, {section}, {text}
  std::string user;       // the question: {passages}, {question}
  std::string no_answer;  // what is said when the passages do not answer
  std::string rewrite_prompt{};  // asks for a question that stands alone: {conversation}, {question}
  std::string judge_prompt{};    // asks whether a text says what a statement says: {quote}, {statement}
  int max_passages = 3;          // shown to the model
  int passage_bytes = 900;       // of each; longer ones are cut to the sentences around the best
  int section_bytes = 1200;      // of each with the text around it in its section, as far as prompt_tokens leaves room
  int prompt_tokens = 1200;      // for everything; passages are left out from the end until it fits
  int history_tokens = 256;      // of earlier turns, the newest ones; only what the passages leave of prompt_tokens
  int answer_tokens = 120;       // unless the request asks for less
  int max_sentences = 4;         // of an answer
  int quoted_sentences = 3;      // of an extractive answer
  double relevance = 0.45;       // a sentence below it is not quoted; without an embedder, the best one below it does not answer the question
  AnswerFormula answerable{};    // with an embedder
  double temperature = 0;        // unless the request chooses one
  double lexical_support = 0.6;  // share of a sentence's words that its source must have, or ...
  double semantic_support = 0.7;  // ... the cosine to it, with half of lexical_support
  int citations = 3;              // of a sentence, from as many passages
  bool flag_unsupported = false;  // sentences that nothing supports stay in the text and are named; else they are dropped
  std::string judge{};            // model that decides on sentences from judge_support on that the above leave open; "same": the one that answers; empty: none
  double judge_support = 0.6;     // mean of word share and cosine
  Rewrite rewrite = Rewrite::kNever;  // of questions into ones that stand alone, by the model that answers; kAuto: those that refer to what was said
  int rewrite_tokens = 48;
  Negations negations{};  // a statement and its source must both have one of their language, or none
};

// Reads the section `grounding`; `name` stands for the file in errors. kInvalidArgument names a missing or unknown key, or a value out
// of range.
Result<GroundingSettings> parse_grounding_settings(std::string_view yaml, std::string_view name);

// `pattern` with each "{name}" of `values` replaced. Other braces stay.
std::string fill_template(std::string_view pattern, std::initializer_list<std::pair<std::string_view, std::string_view>> values);

}  // namespace stoa::gateway
