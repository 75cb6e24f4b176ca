// Requests of the Messages dialect: the wire's JSON -> contracts/chat.h. The protocol is that of Anthropic's official SDKs.
#pragma once

#include "contracts/chat.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::anthropic {

struct MessageCall {
  ChatRequest request;
  bool stream = false;
  bool thinking = false;  // the model's reasoning is part of the answer
};

// Content blocks of text, tool_use, tool_result and thinking become messages: each result of a tool is a message of the role "tool", and what stands
// between results a message of the user. Texts of one message are put together as they are; blocks of `system` are paragraphs.
// Errors: kInvalidArgument with `param` for what is wrong, and for what would change the answer if it were ignored: blocks and tools of other types,
// a conversation that ends with the assistant.
Result<MessageCall> parse_message_call(const JsonObject& body);

// The same without max_tokens, for counting.
Result<ChatRequest> parse_prompt(const JsonObject& body);

}  // namespace stoa::gateway::anthropic
