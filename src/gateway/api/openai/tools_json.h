// Function tools and their calls, in chat completions and in responses, and the messages of a chat.
#pragma once

#include <string>
#include <vector>

#include "contracts/chat.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::openai {

inline constexpr std::size_t kMaxFunctions = 128;

// The object that holds name, description, parameters and strict. `strict`: what it is where the caller does not say.
Result<ToolDefinition> parse_function(const Fields& function, bool strict);

// `tools`, `tool_choice` and `parallel_tool_calls` of a chat completion into `request`.
Status parse_chat_tools(const Fields& body, ChatRequest& request);
// "none", "auto", "required", or `named` read by the caller out of an object. Checks it against `request.tools`.
Status set_tool_choice(const Fields& body, std::string_view mode, const std::string& named, ChatRequest& request);
// How the choice stands on the wire when it is a word.
std::string_view tool_choice_name(const ToolChoice& choice);

// `messages` of a chat completion: roles, texts, calls, and answers of tools, which have to answer a call made before.
Result<std::vector<ChatMessage>> parse_messages(const Fields& body);

// A call as chat completions show it, whole or the next piece of one.
JsonObject tool_call_json(const ToolCall& call);
JsonObject tool_call_delta_json(const ToolCallDelta& delta);

}  // namespace stoa::gateway::openai
