#include "models/engine/answer_reader.h"

#include <utility>

#include "base/id.h"

namespace stoa::models {
namespace {

// Mistral's templates insist on nine letters and digits.
std::string new_call_id(std::optional<ToolFormat> format) {
  std::string id = new_id("call");
  return format == ToolFormat::kMistral || format == ToolFormat::kMistral11 ? id.substr(id.size() - 9) : id;
}

}  // namespace

AnswerReader::AnswerReader(std::optional<ToolFormat> format, Reasoning reasoning, std::span<const ToolDefinition> tools)
    : format_(format), parser_(format, reasoning, format == ToolFormat::kParameters ? std::make_shared<const ParameterForms>(parameter_forms(tools)) : nullptr) {}

std::optional<ChatDelta> AnswerReader::read(ChatDelta raw) {
  std::ranges::move(raw.logprobs, std::back_inserter(logprobs_));
  parser_.push(raw.text, events_);
  return events_.empty() ? std::nullopt : take();
}

std::optional<ChatDelta> AnswerReader::finish() {
  parser_.finish(events_);
  return events_.empty() && logprobs_.empty() ? std::nullopt : take();
}

std::optional<ChatDelta> AnswerReader::take() {
  ChatDelta out;
  for (ToolEvent& event : events_) {
    switch (event.kind) {
      case ToolEvent::Kind::kContent: out.text += event.text; break;
      case ToolEvent::Kind::kReasoning: out.reasoning += event.text; break;
      case ToolEvent::Kind::kCall:
        out.tool_calls.push_back({.index = event.call, .id = new_call_id(format_), .name = std::move(event.text), .arguments = {}});
        break;
      case ToolEvent::Kind::kArguments:
        if (out.tool_calls.empty() || out.tool_calls.back().index != event.call) out.tool_calls.push_back({.index = event.call, .id = {}, .name = {}, .arguments = {}});
        out.tool_calls.back().arguments += event.text;
        break;
      case ToolEvent::Kind::kCallEnd: break;
    }
  }
  events_.clear();
  if (out.text.empty() && out.reasoning.empty() && out.tool_calls.empty() && logprobs_.empty()) return std::nullopt;
  out.logprobs = std::exchange(logprobs_, {});
  return out;
}

}  // namespace stoa::models
