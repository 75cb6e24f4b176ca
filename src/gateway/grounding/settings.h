// How grounded answers are worded and bounded. The values are data: share/prompts.yaml.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace stoa::gateway {

struct GroundingSettings {
  std::string version;    // digest of the file they were read from: "sha256:..."
  std::string system;     // system message
  std::string passage;    // one passage: {number}, {title}, {section}, {text}
  std::string user;       // the question: {passages}, {question}
  std::string no_answer;  // what is said when the passages do not answer
  int max_passages = 3;          // shown to the model
  int passage_bytes = 900;       // of each; longer ones are cut to the sentences around the best
  int prompt_tokens = 1200;      // for everything; passages are left out from the end until it fits
  int history_tokens = 256;      // of earlier turns, the newest ones; only what the passages leave of prompt_tokens
  int answer_tokens = 120;       // unless the request asks for less
  int max_sentences = 4;         // of an answer
  int quoted_sentences = 3;      // of an extractive answer
  double relevance = 0.45;       // below it the best passage does not answer the question
  double temperature = 0;        // unless the request chooses one
  double lexical_support = 0.6;  // share of a sentence's words that its source must have, or ...
  double semantic_support = 0.7;  // ... the cosine to it, with half of lexical_support
};

// Reads the section `grounding`; `name` stands for the file in errors. kInvalidArgument names a missing or unknown key, or a value out
// of range.
Result<GroundingSettings> parse_grounding_settings(std::string_view yaml, std::string_view name);

// `pattern` with each "{name}" of `values` replaced. Other braces stay.
std::string fill_template(std::string_view pattern, std::initializer_list<std::pair<std::string_view, std::string_view>> values);

}  // namespace stoa::gateway
