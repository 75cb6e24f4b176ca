// Chat completions: the wire's JSON <-> contracts/chat.h. Nothing outside this folder sees the JSON.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contracts/chat.h"
#include "gateway/api/fields.h"
#include "gateway/api/generation.h"

namespace stoa::gateway::openai {

inline constexpr int kMaxChoices = 128;

struct ChatCall {
  ChatRequest request;
  int choices = 1;  // `n`
  bool stream = false;
  bool include_usage = false;
  std::string user;
  Metadata metadata;
};

// Errors: kInvalidArgument with `param`; fields that ask for audio or tools of other kinds than functions say so.
Result<ChatCall> parse_chat(const JsonObject& body);

// Sampling fields that chat, completions and responses share, with OpenAI's ranges plus top_k, min_p, repetition_penalty.
Result<SamplingOptions> parse_sampling(const Fields& body);
Result<std::vector<std::string>> parse_stop(const Fields& body);
// `service_tier` as ChatRequest::priority: "flex" is served after others, "priority" before them, "default" and "auto" are 0.
Result<int> parse_tier(const Fields& body);
std::string_view tier_name(int priority);
// The text and the images of a message, into `out`: a string, or a list of parts whose types are in `text_types` or the one of images ("image_url", "input_image"; empty: none are taken).
Status parse_content(const Fields& message, std::string_view key, const std::vector<std::string_view>& text_types, std::string_view image_type, ChatMessage& out);
// `reasoning_effort`, or whatever the key is, as ChatRequest::reasoning_effort.
Result<std::string> parse_effort(const Fields& fields, std::string_view key);

struct AnswerHead {
  std::string id;
  std::int64_t created = 0;  // seconds
  std::string model;
  bool logprobs = false;
  int priority = 0;
};

std::string_view finish_name(FinishReason reason);  // "stop", "tool_calls" or "length"
JsonObject usage_json(const UsageReport& report);   // chat and completions

JsonObject chat_json(const AnswerHead& head, const std::vector<Choice>& choices, const UsageReport& usage);
// Chunks of a stream, in the order role, text..., finish, and (when asked) usage.
JsonObject chat_role_chunk(const AnswerHead& head, int index, bool usage_later);
// As text, since there is one for every token.
std::string chat_text_chunk(const AnswerHead& head, int index, const ChatDelta& delta, bool usage_later);
JsonObject chat_finish_chunk(const AnswerHead& head, int index, FinishReason reason, bool usage_later);
JsonObject chat_usage_chunk(const AnswerHead& head, const UsageReport& usage);

}  // namespace stoa::gateway::openai
