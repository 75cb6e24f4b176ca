// The ways in which model families write tool calls and reasoning.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::models {

enum class ToolFormat {
  kHermes,   // <tool_call>\n{"name": ..., "arguments": {...}}\n</tool_call>, any number, between text (Hermes, Qwen 2.5 and 3, ...)
  kLlama3,   // {"name": ..., "parameters": {...}} as the whole answer, perhaps after <|python_tag|>; several separated by ';'
  kMistral,  // [TOOL_CALLS] [{"name": ..., "arguments": {...}}, ...] at the end of the answer (before version 11 of the format)
  kMistral11,  // [TOOL_CALLS]name[ARGS]{...}, one after the other, at the end of the answer (from version 11 on)
  kParameters,  // <tool_call>\n<function=name>\n<parameter=key>\nvalue\n</parameter>\n</function>\n</tool_call>, any number, between text (Qwen 3 Coder)
  kTagged,   // <|tool_call|>[{"name": ..., "arguments": {...}}, ...], perhaps closed by <|/tool_call|>, at the end (Granite 3, Phi 4)
};

// What reasoning stands in, before the answer.
struct ReasoningTags {
  std::string_view open, close;
};
inline constexpr ReasoningTags kThinkTags{"<think>", "</think>"}, kBracketTags{"[THINK]", "[/THINK]"};  // Magistral has the second, all others the first

// Whether and how an answer begins with reasoning.
struct Reasoning {
  enum Kind {
    kNone,
    kPossible,  // the answer may begin with the opening tag
    kOpened,    // the prompt ends with it: the answer begins inside
  };

  Reasoning(Kind k = kNone, ReasoningTags t = kThinkTags) : kind(k), tags(t) {}
  friend bool operator==(const Reasoning& a, Kind b) { return a.kind == b; }

  Kind kind;
  ReasoningTags tags;  // of the constants above
};

// From the source of a chat template: the markers in it tell. nullopt where it knows no tools.
std::optional<ToolFormat> detect_tool_format(std::string_view chat_template);
// True for templates that show tools only where they are written into the system message (Phi 4).
bool wants_tools_in_message(std::string_view chat_template);
// kPossible where the template knows closing tags. Whether a prompt was left open is seen at its end: it ends with the opening one.
Reasoning detect_reasoning(std::string_view chat_template, std::string_view prompt);

// Markers that may be control tokens in the vocabulary: the TokenTrie and the decoder of the answer have to show them as text.
std::vector<std::string> marker_tokens(ToolFormat format);

}  // namespace stoa::models
