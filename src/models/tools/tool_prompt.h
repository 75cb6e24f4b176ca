// How a model is told of its tools: as the JSON that chat templates read, or, where a template knows none, in the messages themselves.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"
#include "models/tools/tool_format.h"

namespace stoa::models {

// How calls and answers of tools are written into messages, for templates that do not write them themselves.
struct ToolWriting {
  ToolFormat format = ToolFormat::kHermes;  // or kTagged (Phi 4)
  std::string pattern;                      // behind the system message, with {tools} replaced by the definitions
};

// The list of definitions as OpenAI writes them, which is what templates expect. kInvalidArgument when `parameters` is no JSON object.
Result<std::string> tools_json(std::span<const ToolDefinition> tools);

// For templates that know no tools, in Hermes' format: the pattern goes behind the system message (definitions one a line), calls into the
// text of their message, and answers of tools into messages of the user. In Phi 4's: the definitions are a list, which its template would
// put there too if it found it in the message; answers of tools keep their role. Empty `tools`: only calls and answers.
Result<std::vector<ChatMessage>> write_out_tools(std::span<const ChatMessage> messages, std::span<const ToolDefinition> tools, const ToolWriting& writing);

}  // namespace stoa::models
