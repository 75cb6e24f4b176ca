#include "gateway/api/bedrock/answer_json.h"

namespace stoa::gateway::bedrock {
namespace {

std::string_view stop_reason(FinishReason finish, const std::string& stop) {
  switch (finish) {
    case FinishReason::kLength: return "max_tokens";
    case FinishReason::kToolCalls: return "tool_use";
    case FinishReason::kContentFilter: return "content_filtered";
    default: return stop.empty() ? "end_turn" : "stop_sequence";
  }
}

// Tokens that the cache had are told beside those that were computed.
JsonObject usage_json(const UsageReport& report) {
  const Usage& usage = report.usage;
  JsonObject out;
  out["inputTokens"] = usage.prompt_tokens - usage.cached_tokens;
  out["outputTokens"] = usage.completion_tokens;
  out["totalTokens"] = usage.prompt_tokens + usage.completion_tokens;
  out["cacheReadInputTokens"] = usage.cached_tokens;
  out["cacheWriteInputTokens"] = 0;
  out["stoa"] = stoa_json(report);
  return out;
}

}  // namespace

JsonObject stop_json(FinishReason finish, const std::string& stop, bool tells_stop) {
  JsonObject out;
  out["stopReason"] = stop_reason(finish, stop);
  if (tells_stop) out["additionalModelResponseFields"] = JsonObject{{"stop_sequence", stop.empty() ? Json(nullptr) : Json(stop)}};
  return out;
}

JsonObject metadata_event(const UsageReport& usage) {
  JsonObject out;
  out["usage"] = usage_json(usage);
  out["metrics"] = JsonObject{{"latencyMs", usage.usage.total_micros / 1000}};
  return out;
}

Result<JsonObject> answer_json(const Choice& answer, const UsageReport& usage, bool tells_stop) {
  JsonArray content;
  if (!answer.reasoning.empty()) content.emplace_back(JsonObject{{"reasoningContent", JsonObject{{"reasoningText", JsonObject{{"text", answer.reasoning}}}}}});
  if (!answer.text.empty()) content.emplace_back(JsonObject{{"text", answer.text}});
  for (const ToolCall& call : answer.tool_calls) {
    auto input = parse_json(call.arguments.empty() ? "{}" : call.arguments);
    if (input && input->is_object())
      content.emplace_back(JsonObject{{"toolUse", JsonObject{{"toolUseId", call.id}, {"name", call.name}, {"input", std::move(*input)}}}});
    else if (answer.finish != FinishReason::kLength)
      return fail(ErrorCode::kUnavailable, "the model called '{}' with arguments that are no JSON object", call.name);
  }
  JsonObject out;
  out["output"] = JsonObject{{"message", JsonObject{{"role", "assistant"}, {"content", std::move(content)}}}};
  for (auto& member : stop_json(answer.finish, answer.stop, tells_stop)) out[member.key()] = std::move(member.value());
  for (auto& member : metadata_event(usage)) out[member.key()] = std::move(member.value());
  return out;
}

bool ConverseEvents::begin() {
  return std::exchange(begun_, true) || send_("messageStart", {{"role", "assistant"}});
}

// Only calls of tools announce themselves; the first piece of a text begins its block.
bool ConverseEvents::open(Block kind) {
  if (block_ == kind && kind != Block::kToolUse) return true;
  if (!finish()) return false;
  block_ = kind;
  ++index_;
  return true;
}

bool ConverseEvents::finish() {
  if (!begin()) return false;
  return std::exchange(block_, Block::kNone) == Block::kNone || send_("contentBlockStop", {{"contentBlockIndex", index_}});
}

bool ConverseEvents::piece(JsonObject delta) { return send_("contentBlockDelta", {{"contentBlockIndex", index_}, {"delta", std::move(delta)}}); }

bool ConverseEvents::add(const ChatDelta& delta) {
  if (!begin()) return false;
  if (!delta.reasoning.empty() && !(open(Block::kReasoning) && piece({{"reasoningContent", JsonObject{{"text", delta.reasoning}}}}))) return false;
  if (!delta.text.empty()) {
    text_ += delta.text;
    if (!open(Block::kText) || !piece({{"text", delta.text}})) return false;
  }
  for (const ToolCallDelta& call : delta.tool_calls) {
    if (!call.id.empty() && !(open(Block::kToolUse) && send_("contentBlockStart", {{"contentBlockIndex", index_}, {"start", JsonObject{{"toolUse", JsonObject{{"toolUseId", call.id}, {"name", call.name}}}}}})))
      return false;
    if (block_ == Block::kToolUse && !call.arguments.empty() && !piece({{"toolUse", JsonObject{{"input", call.arguments}}}})) return false;
  }
  return true;
}

}  // namespace stoa::gateway::bedrock
