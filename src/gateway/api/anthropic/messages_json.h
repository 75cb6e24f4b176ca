// Requests of the Messages dialect: the wire's JSON -> contracts/chat.h. The protocol is that of Anthropic's official SDKs.
#pragma once

#include "contracts/chat.h"
#include "gateway/api/anthropic/documents.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::anthropic {

// What counting reads of a request.
struct MessagePrompt {
  ChatRequest request;
  std::vector<MessageDocument> documents;  // in the order of the messages; their text is not in these (place_documents)

  bool cites() const { return !documents.empty() && documents.front().cited; }  // the answer cites all of them
};

struct MessageCall : MessagePrompt {
  bool stream = false;
  bool thinking = false;         // the model's reasoning is part of the answer
  bool own_temperature = false;  // the caller chose one
};

// Content blocks of text, tool_use, tool_result and thinking become messages, those of document and search_result become documents: each result of a tool is a message of the role "tool", and what stands
// between results a message of the user. Texts of one message are put together as they are; blocks of `system` are paragraphs.
// Errors: kInvalidArgument with `param` for what is wrong, and for what would change the answer if it were ignored: blocks and tools of other types,
// a conversation that ends with the assistant; documents of which some are cited and some are not; cited ones beside tools that may be called or beside a format.
Result<MessageCall> parse_message_call(const JsonObject& body);

// The same without max_tokens, for counting.
Result<MessagePrompt> parse_prompt(const JsonObject& body);

}  // namespace stoa::gateway::anthropic
