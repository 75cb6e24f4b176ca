// How good answers from documents are: found, supported, right, cited, and refused where the documents have no answer.
//
// Who answers, who judges and what a sentence is come as functions, because the answerers stand above this module.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "feedback/evaluation/questions.h"
#include "feedback/evaluation/report.h"
#include "feedback/evaluation/retrieval.h"

namespace stoa::feedback {

struct RagPassage {
  FoundItem item;       // its id is that of the paragraph
  std::string text;     // whole
  std::string context;  // `text` with what stands around it in its section, where the answerer read that, too; may be empty
  const std::string& widest() const { return context.empty() ? text : context; }  // all that the answerer read of it
};

struct RagCitation {
  std::size_t begin = 0, end = 0;  // bytes of the answer that it supports
  std::size_t passage = 0;         // index into the passages
  std::string quote;
  std::size_t from = 0;            // byte of the passage's text, or of its context, where the quote begins
  bool in_context = false;         // of its context: it stands around the passage, not in it
};

struct RagAnswer {
  std::string text;
  bool answered = false;  // false: the text says that the documents do not answer
  std::vector<RagPassage> passages;
  std::vector<RagCitation> citations;
  std::int64_t prompt_tokens = 0, completion_tokens = 0;
  bool generated = false;  // written by a model; false: quoted, also where nothing that the model wrote was supported
};

struct RagFunctions {
  std::function<Result<RagAnswer>(const std::string& question)> answer;
  // The claims of an answer: its sentences.
  std::function<std::vector<std::string>(std::string_view text)> claims;
  // For each statement, whether the texts say it.
  std::function<Result<std::vector<bool>>(std::span<const std::string> texts, std::span<const std::string> statements)> supported;
};

// Metrics, each the mean over the questions it is defined for:
//   exact_match, f1            all: as SQuAD 2.0 has them; for an unanswerable question 1 when it is refused, else 0. The best over the reference answers
//   contains_answer            answerable: the answer holds the words of a reference answer; what exact match cannot see in an answer of whole sentences
//   faithfulness               answered: claims that the passages, with what was read around them, support / claims (RAGAS)
//   context_precision          answerable: over all passages that were found, in their order (RAGAS); one is right when it is of a right paragraph or holds a reference answer
//   context_recall             answerable with references in their paragraph: sentences that hold a reference answer and are said by what was read / those sentences (RAGAS)
//   answer_accuracy, balanced_accuracy, majority_baseline   one number: is it answered where it should be? (AnswerConfusion)
//   citation_literal           citations whose quote stands at its place in the passage, or around it, letter by letter, and whose range is one of the answer. Not whether it supports it
//   citation_right             citations of answerable questions whose passage is right, as for context_precision
//   citation_correct           citations of answerable questions that are both
//   generated                  answered: written by a model, rather than quoted
//   prompt_tokens, completion_tokens
// A citation counts once, whatever question it is of. Latencies are those of `answer`. Stops at the first error, and when the call is cancelled or its deadline passes.
Result<EvaluationRun> evaluate_rag(const Call& call, const QuestionSet& set, const std::string& name, const RagFunctions& functions, const EvaluationProgress& progress = {});

}  // namespace stoa::feedback
