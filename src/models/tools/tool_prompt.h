// How a model is told of its tools: as the JSON that chat templates read, or, where a template knows none, in the messages themselves.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::models {

// The list of definitions as OpenAI writes them, which is what templates expect. kInvalidArgument when `parameters` is no JSON object.
Result<std::string> tools_json(std::span<const ToolDefinition> tools);

// For templates that know no tools, in Hermes' format: `pattern`, with {tools} replaced by the definitions (one a line), goes behind the
// system message, calls into the text of their message, and answers of tools into messages of the user. Empty `tools`: only the latter two.
Result<std::vector<ChatMessage>> write_out_tools(std::span<const ChatMessage> messages, std::span<const ToolDefinition> tools, std::string_view pattern);

}  // namespace stoa::models
