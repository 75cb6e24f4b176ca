#include "models/tools/tool_format.h"

namespace stoa::models {

std::optional<ToolFormat> detect_tool_format(std::string_view chat_template) {
  const auto has = [&](std::string_view word) { return chat_template.find(word) != std::string_view::npos; };
  if (has("<tool_call>")) return has("<function=") && has("<parameter=") ? ToolFormat::kParameters : ToolFormat::kHermes;
  if (has("[TOOL_CALLS]")) return has("[ARGS]") ? ToolFormat::kMistral11 : ToolFormat::kMistral;
  if (has("<|tool_call|>") || wants_tools_in_message(chat_template)) return ToolFormat::kTagged;
  if (has("<|start_of_role|>") && has("available_tools")) return ToolFormat::kTagged;  // Granite 3.0 and 3.1: the model knows the marker
  if (has("<|python_tag|>") || (has("\"parameters\": ") && has("tool_calls"))) return ToolFormat::kLlama3;
  return std::nullopt;
}

bool wants_tools_in_message(std::string_view chat_template) { return chat_template.find("<|tool|>") != std::string_view::npos; }

Reasoning detect_reasoning(std::string_view chat_template, std::string_view prompt) {
  for (const ReasoningTags& tags : {kThinkTags, kBracketTags}) {
    if (chat_template.find(tags.close) == std::string_view::npos) continue;
    const std::size_t end = prompt.find_last_not_of(" \n");
    const bool opened = end != std::string_view::npos && prompt.substr(0, end + 1).ends_with(tags.open);
    return {opened ? Reasoning::kOpened : Reasoning::kPossible, tags};
  }
  return Reasoning::kNone;
}

std::vector<std::string> marker_tokens(ToolFormat format) {
  std::vector<std::string> out;
  for (const ReasoningTags& tags : {kThinkTags, kBracketTags}) out.insert(out.end(), {std::string(tags.open), std::string(tags.close)});
  if (format == ToolFormat::kHermes || format == ToolFormat::kParameters) out.insert(out.end(), {"<tool_call>", "</tool_call>"});
  if (format == ToolFormat::kLlama3) out.emplace_back("<|python_tag|>");
  if (format == ToolFormat::kMistral) out.emplace_back("[TOOL_CALLS]");
  if (format == ToolFormat::kMistral11) out.insert(out.end(), {"[TOOL_CALLS]", "[ARGS]"});
  if (format == ToolFormat::kTagged) out.insert(out.end(), {"<|tool_call|>", "<|/tool_call|>"});
  return out;
}

}  // namespace stoa::models
