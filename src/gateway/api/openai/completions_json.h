// Completions (raw text in, text out): the wire's JSON <-> contracts/chat.h.
#pragma once

#include <string>
#include <vector>

#include "gateway/api/openai/chat_json.h"

namespace stoa::gateway::openai {

struct CompletionCall {
  std::vector<std::string> prompts;  // each gets `choices` answers
  ChatRequest request;               // without its prompt
  int choices = 1;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;
};

Result<CompletionCall> parse_completion(const JsonObject& body);

JsonObject completion_json(const AnswerHead& head, const std::vector<Choice>& choices, const UsageReport& usage);
// `offset`: bytes of the choice's text before this piece, for text_offset.
JsonObject completion_chunk(const AnswerHead& head, int index, const ChatDelta& delta, std::size_t offset, const FinishReason* finish);
JsonObject completion_usage_chunk(const AnswerHead& head, const UsageReport& usage);

}  // namespace stoa::gateway::openai
