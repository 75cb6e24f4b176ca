// Short questions to a model beside the answer: whether a text supports a statement, what a question means on its own. What they took is charged
// with the answer.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "gateway/grounding/settings.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// A model that may be asked; there is none while `generator` is null. What it points to outlives the user.
struct AsideModel {
  models::Generator* generator = nullptr;
  std::string model{};  // as ChatRequest::model

  explicit operator bool() const { return generator != nullptr; }
};

// The text of the answer to `prompt`, of at most `max_tokens` and that conforms to `pattern` (a regular expression; empty: any text). Greedy. What was
// used is added to `charges` as `what`, also when it fails. Errors: those of the generator.
Result<std::string> ask_aside(const Call& call, const AsideModel& asked, const std::string& prompt, int max_tokens, const std::string& pattern, const std::string& what,
                              std::vector<ChatCharge>& charges);

// Whether a model reads in `quote` what `statement` says. False where it cannot be asked: what is not known to be supported is not.
bool judge_support(const Call& call, const GroundingSettings& settings, const AsideModel& judge, std::string_view statement, std::string_view quote,
                   std::vector<ChatCharge>& charges);

// What to search for.
struct SearchText {
  std::string query;
  std::string how;  // "question": as it was asked; "joined": with the question before it; "rewritten": in a model's words
  std::vector<ChatCharge> charges;
};

// The question with what it refers to, as settings.rewrite says. A rewriting is taken only when it is made of the words of the conversation and keeps
// those of the question; otherwise, and on any failure, search_query() stands in for it.
SearchText resolve_question(const Call& call, const GroundingSettings& settings, const AsideModel& model, const std::vector<ChatMessage>& history,
                            const std::string& question);

}  // namespace stoa::gateway
