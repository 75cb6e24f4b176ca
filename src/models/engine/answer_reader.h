// From the text a model writes to the answer the caller reads: content, reasoning and tool calls apart.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "contracts/chat.h"
#include "models/tools/tool_parser.h"

namespace stoa::models {

// One thread at a time.
class AnswerReader {
 public:
  // `tools`: those that the answer may call.
  AnswerReader(std::optional<ToolFormat> format, Reasoning reasoning, std::span<const ToolDefinition> tools = {});

  // The next piece, with what became clear; nothing while it may still become a marker. Log-probabilities wait with their text.
  std::optional<ChatDelta> read(ChatDelta raw);
  // What was held back at the end, if anything.
  std::optional<ChatDelta> finish();

  bool called_tools() const { return parser_.calls() > 0; }

 private:
  std::optional<ChatDelta> take();

  std::optional<ToolFormat> format_;
  ToolParser parser_;
  std::vector<ToolEvent> events_;
  std::vector<TokenLogprob> logprobs_;
};

}  // namespace stoa::models
