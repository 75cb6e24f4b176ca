// Requests of the Converse dialect: the wire's JSON -> contracts/chat.h. The protocol is that of the official AWS SDKs.
#pragma once

#include "contracts/chat.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::bedrock {

struct ConverseCall {
  ChatRequest request;         // without `model`, which is in the path
  bool tells_stop = false;     // the stop sequence is asked for in additionalModelResponseFields
};

// Blocks of text, image, toolUse, toolResult and reasoningContent become messages: each result of a tool is a message of the role "tool", and what stands
// between results a message of the user. Texts of one message are put together as they are; blocks of `system` are paragraphs.
// Errors: kInvalidArgument with `param` for what is wrong, and for what would change the answer if it were ignored.
Result<ConverseCall> parse_converse(const JsonObject& body);

// What is to be counted: {"input": {"converse": {...}}}.
Result<ChatRequest> parse_count(const JsonObject& body);

}  // namespace stoa::gateway::bedrock
