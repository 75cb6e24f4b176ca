#include "gateway/api/anthropic/answer_json.h"

namespace stoa::gateway::anthropic {
namespace {

constexpr int kHiddenPerPing = 64;  // reasoning that is not shown keeps the stream alive all the same

std::string_view stop_reason(FinishReason finish, const std::string& stop) {
  switch (finish) {
    case FinishReason::kLength: return "max_tokens";
    case FinishReason::kToolCalls: return "tool_use";
    case FinishReason::kContentFilter: return "refusal";
    default: return stop.empty() ? "end_turn" : "stop_sequence";
  }
}

// Signatures prove to Anthropic's models that a thought is theirs; nothing here asks for one.
JsonObject thinking_block(std::string_view text) {
  JsonObject out;
  out["type"] = "thinking";
  out["thinking"] = text;
  out["signature"] = "";
  return out;
}

JsonObject tool_block(std::string_view id, std::string_view name, JsonObject input) {
  JsonObject out;
  out["type"] = "tool_use";
  out["id"] = id;
  out["name"] = name;
  out["input"] = std::move(input);
  return out;
}

// input_tokens are those that were computed: what the cache had is told beside them.
JsonObject usage_json(const MessageHead& head, const Usage& usage) {
  JsonObject details, out;
  details["thinking_tokens"] = usage.reasoning_tokens;
  out["input_tokens"] = usage.prompt_tokens - usage.cached_tokens;
  out["cache_creation_input_tokens"] = 0;
  out["cache_read_input_tokens"] = usage.cached_tokens;
  out["output_tokens"] = usage.completion_tokens;
  out["output_tokens_details"] = std::move(details);
  out["service_tier"] = head.priority > 0 ? "priority" : "standard";
  return out;
}

JsonObject reported(const MessageHead& head, const UsageReport& report) {
  JsonObject out = usage_json(head, report.usage);
  out["stoa"] = stoa_json(report);
  return out;
}

JsonObject head_json(const MessageHead& head, JsonArray content, Json reason, const std::string& stop, JsonObject usage) {
  JsonObject out;
  out["id"] = head.id;
  out["type"] = "message";
  out["role"] = "assistant";
  out["model"] = head.model;
  out["content"] = std::move(content);
  out["stop_reason"] = std::move(reason);
  out["stop_sequence"] = stop.empty() ? Json(nullptr) : Json(stop);
  out["usage"] = std::move(usage);
  return out;
}

}  // namespace

JsonObject text_block(std::string_view text, JsonArray citations) {
  JsonObject out;
  out["type"] = "text";
  out["text"] = text;
  if (!citations.empty()) out["citations"] = std::move(citations);
  return out;
}

JsonObject message_json(const MessageHead& head, JsonArray content, const UsageReport& usage) {
  return head_json(head, std::move(content), Json(stop_reason(FinishReason::kStop, {})), {}, reported(head, usage));
}

Result<JsonObject> message_json(const MessageHead& head, const Choice& answer, const UsageReport& usage) {
  JsonArray content;
  if (head.thinking && !answer.reasoning.empty()) content.emplace_back(thinking_block(answer.reasoning));
  if (!answer.text.empty()) content.emplace_back(text_block(answer.text));
  for (const ToolCall& call : answer.tool_calls) {
    auto input = parse_json(call.arguments.empty() ? "{}" : call.arguments);
    if (input && input->is_object()) {
      content.emplace_back(tool_block(call.id, call.name, std::move(input->get_object())));
    } else if (answer.finish != FinishReason::kLength) {
      return fail(ErrorCode::kUnavailable, "the model called '{}' with arguments that are no JSON object", call.name);
    }
  }
  return head_json(head, std::move(content), Json(stop_reason(answer.finish, answer.stop)), answer.stop, reported(head, usage));
}

bool MessageEvents::send(std::string_view type, JsonObject event) const {
  JsonObject out;
  out["type"] = type;
  for (auto& [key, value] : event) out[key] = std::move(value);
  return send_(type, out);
}

bool MessageEvents::ping() {
  hidden_ = 0;
  return send("ping", {});
}

bool MessageEvents::begin() {
  if (begun_) return true;
  begun_ = true;
  JsonObject event;
  event["message"] = head_json(head_, {}, nullptr, {}, usage_json(head_, {.prompt_tokens = prompt_tokens_}));
  return send("message_start", std::move(event)) && ping();
}

bool MessageEvents::open(Block kind, JsonObject block) {
  if (!close()) return false;
  block_ = kind;
  JsonObject event;
  event["index"] = ++index_;
  event["content_block"] = std::move(block);
  return send("content_block_start", std::move(event));
}

bool MessageEvents::close() {
  if (block_ == Block::kNone) return true;
  block_ = Block::kNone;
  JsonObject event;
  event["index"] = index_;
  return send("content_block_stop", std::move(event));
}

bool MessageEvents::piece(std::string_view type, std::string_view key, std::string_view text) {
  JsonObject delta, event;
  delta["type"] = type;
  delta[key] = text;
  event["index"] = index_;
  event["delta"] = std::move(delta);
  return send("content_block_delta", std::move(event));
}

bool MessageEvents::add(const ChatDelta& delta) {
  if (!begin()) return false;
  if (!delta.reasoning.empty() && head_.thinking) {
    if (block_ != Block::kThinking && !open(Block::kThinking, thinking_block(""))) return false;
    if (!piece("thinking_delta", "thinking", delta.reasoning)) return false;
  } else if (!delta.reasoning.empty() && ++hidden_ >= kHiddenPerPing && !ping()) {
    return false;
  }
  if (!delta.text.empty()) {
    text_ += delta.text;
    if (block_ != Block::kText && !open(Block::kText, text_block(""))) return false;
    if (!piece("text_delta", "text", delta.text)) return false;
  }
  for (const ToolCallDelta& call : delta.tool_calls) {
    if (!call.id.empty() && !open(Block::kToolUse, tool_block(call.id, call.name, {}))) return false;
    if (block_ == Block::kToolUse && !call.arguments.empty() && !piece("input_json_delta", "partial_json", call.arguments)) return false;
  }
  return true;
}

bool MessageEvents::add_cited(std::string_view text, JsonArray citations) {
  if (!begin() || !open(Block::kText, text_block(""))) return false;
  text_ += text;
  if (!piece("text_delta", "text", text)) return false;
  for (Json& citation : citations) {
    JsonObject delta, event;
    delta["type"] = "citations_delta";
    delta["citation"] = std::move(citation);
    event["index"] = index_;
    event["delta"] = std::move(delta);
    if (!send("content_block_delta", std::move(event))) return false;
  }
  return close();
}

bool MessageEvents::end(FinishReason finish, const std::string& stop, const UsageReport& usage) {
  if (!begin() || !close()) return false;
  JsonObject delta, event;
  delta["stop_reason"] = stop_reason(finish, stop);
  delta["stop_sequence"] = stop.empty() ? Json(nullptr) : Json(stop);
  event["delta"] = std::move(delta);
  event["usage"] = reported(head_, usage);
  return send("message_delta", std::move(event));
}

}  // namespace stoa::gateway::anthropic
