#include "gateway/api/openai/chat_json.h"

#include <algorithm>
#include <charconv>

#include "base/json_writer.h"
#include "base/utf8.h"
#include "gateway/api/images.h"
#include "gateway/api/openai/constraint_json.h"
#include "gateway/api/openai/tools_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxParts = 256, kMaxStops = 16, kMaxBiases = 1024;
constexpr std::int64_t kMaxTokens = 1 << 20;

struct Refusal {
  std::string_view key, next_step;
};

// Known fields of the protocol that would change the answer if they were silently ignored.
constexpr Refusal kRefused[] = {
    {"functions", "use 'tools'"},
    {"function_call", "use 'tool_choice'"},
    {"audio", "this server answers with text only"},
    {"prediction", "leave it out"},
    {"web_search_options", "this server does not search the web"},
};

Status refuse_unserved(const Fields& body) {
  for (const Refusal& refusal : kRefused) {
    const Json* value = body.get(refusal.key);
    const bool empty_list = value != nullptr && value->is_array() && value->get_array().empty();
    if (value != nullptr && !empty_list) return body.unsupported(refusal.key, refusal.next_step);
  }
  STOA_TRY(modalities, body.texts("modalities", 4));
  for (const std::string& modality : modalities)
    if (modality != "text") return body.unsupported("modalities", "this server answers with text only");
  return {};
}

JsonArray bytes_json(std::string_view text) {
  JsonArray bytes;
  for (const unsigned char byte : text) bytes.emplace_back(static_cast<std::int64_t>(byte));
  return bytes;
}

JsonObject logprob_json(std::string_view token, float logprob) {
  JsonObject out;
  out["token"] = to_valid_utf8(token);
  out["logprob"] = logprob;
  out["bytes"] = bytes_json(token);
  return out;
}

Json logprobs_json(const AnswerHead& head, const std::vector<TokenLogprob>& tokens) {
  if (!head.logprobs) return nullptr;
  JsonArray content;
  for (const TokenLogprob& token : tokens) {
    JsonObject entry = logprob_json(token.text, token.logprob);
    JsonArray top;
    for (const auto& [text, logprob] : token.top) top.emplace_back(logprob_json(text, logprob));
    entry["top_logprobs"] = std::move(top);
    content.emplace_back(std::move(entry));
  }
  JsonObject out;
  out["content"] = std::move(content);
  out["refusal"] = nullptr;
  return out;
}

JsonObject head_json(const AnswerHead& head, std::string_view object) {
  JsonObject out;
  out["id"] = head.id;
  out["object"] = object;
  out["created"] = head.created;
  out["model"] = head.model;
  out["service_tier"] = tier_name(head.priority);
  out["system_fingerprint"] = nullptr;
  return out;
}

JsonObject chunk(const AnswerHead& head, int index, JsonObject delta, Json logprobs, Json finish, bool usage_later) {
  JsonObject choice;
  choice["index"] = index;
  choice["delta"] = std::move(delta);
  choice["logprobs"] = std::move(logprobs);
  choice["finish_reason"] = std::move(finish);
  JsonObject out = head_json(head, "chat.completion.chunk");
  JsonArray choices;
  choices.emplace_back(std::move(choice));
  out["choices"] = std::move(choices);
  if (usage_later) out["usage"] = nullptr;
  return out;
}

// {"image_url": {"url", "detail"}} of chat, {"image_url": "...", "detail"} of responses.
Result<ChatImage> parse_image(const Fields& part) {
  if (part.has("file_id")) return part.unsupported("file_id", "send a link, or the image itself");
  const Json* link = part.get("image_url");
  const JsonObject* object = link == nullptr ? nullptr : link->if_object();
  const JsonObject none;
  const Fields nested(object == nullptr ? none : *object, part.path("image_url"));
  STOA_TRY(url, object == nullptr ? part.required_text("image_url") : nested.required_text("url"));
  STOA_TRY(image, image_of_url(url, object == nullptr ? part.path("image_url") : nested.path("url")));
  const Fields& said = object == nullptr ? part : nested;
  STOA_TRY(detail, said.text_or("detail", ""));
  if (!detail.empty() && detail != "auto" && detail != "low" && detail != "high") return said.wrong("detail", "one of auto, low, high");
  image.detail = std::move(detail);
  return std::move(image);
}

}  // namespace

Status parse_content(const Fields& message, std::string_view key, const std::vector<std::string_view>& text_types, std::string_view image_type, ChatMessage& out) {
  const Json* value = message.get(key);
  if (value == nullptr) return message.wrong(key, "a string or a list of parts; it is required");
  if (value->is_string()) {
    out.content = value->get_string();
    return {};
  }
  if (!value->is_array()) return message.wrong(key, "a string or a list of parts");
  STOA_TRY(parts, message.array(key, kMaxParts));
  for (std::size_t i = 0; i < parts->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", message.path(key), i);
    const JsonObject* object = (*parts)[i].if_object();
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    const Fields part(*object, path);
    STOA_TRY(type, part.required_text("type"));
    if (!image_type.empty() && type == image_type) {
      STOA_TRY(image, parse_image(part));
      image.at = out.content.size();
      out.images.push_back(std::move(image));
      continue;
    }
    if (std::ranges::find(text_types, type) == text_types.end())
      return part.unsupported("type", fmt::format("parts of type '{}' are not served here, only text{}", type, image_type.empty() ? "" : " and images"));
    STOA_TRY(piece, part.text("text"));
    if (!piece) return part.wrong("text", "a string; it is required");
    out.content += *piece;
  }
  return {};
}

Result<std::string> parse_effort(const Fields& fields, std::string_view key) {
  STOA_TRY(effort, fields.text_or(key, ""));
  if (effort == "xhigh" || effort == "max") return "high";
  for (const std::string_view known : {"", "none", "minimal", "low", "medium", "high"})
    if (effort == known) return std::move(effort);
  return fields.wrong(key, "one of none, minimal, low, medium, high, xhigh");
}

Result<SamplingOptions> parse_sampling(const Fields& body) {
  SamplingOptions out;
  STOA_TRY(temperature, body.number_or("temperature", 0, 2, out.temperature));
  STOA_TRY(top_p, body.number_or("top_p", 0, 1, out.top_p));
  STOA_TRY(top_k, body.integer_or("top_k", 0, 1 << 20, out.top_k));
  STOA_TRY(min_p, body.number_or("min_p", 0, 1, out.min_p));
  STOA_TRY(repetition, body.number_or("repetition_penalty", 0.01, 10, out.repetition_penalty));
  STOA_TRY(presence, body.number_or("presence_penalty", -2, 2, out.presence_penalty));
  STOA_TRY(frequency, body.number_or("frequency_penalty", -2, 2, out.frequency_penalty));
  STOA_TRY(seed, body.integer("seed", INT64_MIN, INT64_MAX));
  out.temperature = temperature;
  out.top_p = top_p;
  out.top_k = static_cast<int>(top_k);
  out.min_p = min_p;
  out.repetition_penalty = repetition;
  out.presence_penalty = presence;
  out.frequency_penalty = frequency;
  if (seed) out.seed = static_cast<std::uint64_t>(*seed);
  STOA_TRY(bias, body.object("logit_bias"));
  if (bias == nullptr) return out;
  if (bias->size() > kMaxBiases) return body.wrong("logit_bias", fmt::format("an object of at most {} tokens", kMaxBiases));
  for (const auto& [key, value] : *bias) {
    std::int32_t token = 0;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), token);
    const bool numeric = code == std::errc() && end == key.data() + key.size() && token >= 0;
    const double amount = value.is_number() ? value.to_number<double>() : 1000;
    if (!numeric || amount < -100 || amount > 100) return body.wrong("logit_bias", "an object of token ids and numbers from -100 to 100");
    out.logit_bias[token] = static_cast<float>(amount);
  }
  return out;
}

Result<std::vector<std::string>> parse_stop(const Fields& body) {
  STOA_TRY(stops, body.texts("stop", kMaxStops));
  for (const std::string& stop : stops)
    if (stop.empty()) return body.wrong("stop", "a string or a list of strings, none of them empty");
  return std::move(stops);
}

Result<int> parse_tier(const Fields& body) {
  STOA_TRY(tier, body.text_or("service_tier", "auto"));
  if (tier == "auto" || tier == tier_name(0)) return 0;
  for (const int priority : {-1, 1})
    if (tier == tier_name(priority)) return priority;
  return body.wrong("service_tier", "'auto', 'default', 'flex' or 'priority'");
}

std::string_view tier_name(int priority) { return priority > 0 ? "priority" : priority < 0 ? "flex" : "default"; }

Result<ChatCall> parse_chat(const JsonObject& object) {
  const Fields body(object);
  STOA_CHECK(refuse_unserved(body));
  ChatCall call;
  STOA_TRY(model, body.required_text("model"));
  call.request.model = std::move(model);
  STOA_TRY(messages, parse_messages(body));
  call.request.messages = std::move(messages);
  STOA_CHECK(parse_chat_tools(body, call.request));
  STOA_TRY(constraint, parse_chat_constraint(body));
  call.request.constraint = std::move(constraint);
  STOA_TRY(effort, parse_effort(body, "reasoning_effort"));
  call.request.reasoning_effort = std::move(effort);
  STOA_TRY(sampling, parse_sampling(body));
  call.request.sampling = std::move(sampling);
  STOA_TRY(logprobs, body.flag_or("logprobs", false));
  STOA_TRY(top, body.integer("top_logprobs", 0, 20));
  if (top && !logprobs) return body.wrong("top_logprobs", "left out unless 'logprobs' is true");
  if (logprobs) call.request.sampling.logprobs = static_cast<int>(top.value_or(0));
  STOA_TRY(max_tokens, body.integer_or("max_tokens", 1, kMaxTokens, 0));
  STOA_TRY(max_completion, body.integer_or("max_completion_tokens", 1, kMaxTokens, max_tokens));
  call.request.max_tokens = static_cast<int>(max_completion);
  STOA_TRY(stops, parse_stop(body));
  call.request.stop = std::move(stops);
  STOA_TRY(choices, body.integer_or("n", 1, kMaxChoices, 1));
  call.choices = static_cast<int>(choices);
  STOA_TRY(priority, parse_tier(body));
  call.request.priority = priority;
  STOA_TRY(stream, body.flag_or("stream", false));
  call.stream = stream;
  STOA_TRY(options, body.object("stream_options"));
  if (options != nullptr) {
    if (!stream) return body.wrong("stream_options", "left out unless 'stream' is true");
    STOA_TRY(include_usage, Fields(*options, "stream_options").flag_or("include_usage", false));
    call.include_usage = include_usage;
  }
  STOA_TRY(user, body.text_or("user", ""));
  call.user = std::move(user);
  STOA_TRY(metadata, body.metadata());
  call.metadata = std::move(metadata);
  return call;
}

std::string_view finish_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kLength: return "length";
    case FinishReason::kToolCalls: return "tool_calls";
    case FinishReason::kContentFilter: return "content_filter";
    default: return "stop";
  }
}

JsonObject usage_json(const UsageReport& report) {
  const Usage& usage = report.usage;
  JsonObject prompt, completion, out;
  prompt["cached_tokens"] = usage.cached_tokens;
  prompt["audio_tokens"] = 0;
  completion["reasoning_tokens"] = usage.reasoning_tokens;
  completion["audio_tokens"] = 0;
  completion["accepted_prediction_tokens"] = 0;
  completion["rejected_prediction_tokens"] = 0;
  out["prompt_tokens"] = usage.prompt_tokens;
  out["completion_tokens"] = usage.completion_tokens;
  out["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  out["prompt_tokens_details"] = std::move(prompt);
  out["completion_tokens_details"] = std::move(completion);
  out["stoa"] = stoa_json(report);
  return out;
}

JsonObject chat_json(const AnswerHead& head, const std::vector<Choice>& choices, const UsageReport& usage) {
  JsonArray list;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const bool only_calls = choices[i].text.empty() && !choices[i].tool_calls.empty();
    JsonObject message, choice;
    message["role"] = "assistant";
    message["content"] = only_calls ? Json(nullptr) : Json(choices[i].text);
    message["refusal"] = nullptr;
    if (!choices[i].reasoning.empty()) message["reasoning_content"] = choices[i].reasoning;
    JsonArray calls;
    for (const ToolCall& call : choices[i].tool_calls) calls.emplace_back(tool_call_json(call));
    if (!calls.empty()) message["tool_calls"] = std::move(calls);
    choice["index"] = i;
    choice["message"] = std::move(message);
    choice["logprobs"] = logprobs_json(head, choices[i].logprobs);
    choice["finish_reason"] = finish_name(choices[i].finish);
    list.emplace_back(std::move(choice));
  }
  JsonObject out = head_json(head, "chat.completion");
  out["choices"] = std::move(list);
  out["usage"] = usage_json(usage);
  return out;
}

JsonObject chat_role_chunk(const AnswerHead& head, int index, bool usage_later) {
  JsonObject delta;
  delta["role"] = "assistant";
  delta["content"] = "";
  delta["refusal"] = nullptr;
  return chunk(head, index, std::move(delta), nullptr, nullptr, usage_later);
}

std::string chat_text_chunk(const AnswerHead& head, int index, const ChatDelta& piece, bool usage_later) {
  constexpr std::size_t kUsual = 320;
  std::string text;
  text.reserve(kUsual + piece.text.size());
  JsonWriter out(text);
  out.object().member("id", head.id).member("object", "chat.completion.chunk").member("created", head.created).member("model", head.model);
  out.member("service_tier", tier_name(head.priority)).key("system_fingerprint").null();
  out.key("choices").array().object().member("index", index).key("delta").object();
  if (!piece.reasoning.empty()) out.member("reasoning_content", piece.reasoning);
  if (!piece.text.empty() || (piece.reasoning.empty() && piece.tool_calls.empty())) out.member("content", piece.text);
  if (!piece.tool_calls.empty()) {
    out.key("tool_calls").array();
    for (const ToolCallDelta& call : piece.tool_calls) out.raw(dump_json(tool_call_delta_json(call)));
    out.end_array();
  }
  out.end_object().key("logprobs").raw(head.logprobs ? dump_json(logprobs_json(head, piece.logprobs)) : "null").key("finish_reason").null().end_object().end_array();
  if (usage_later) out.key("usage").null();
  out.end_object();
  return text;
}

JsonObject chat_finish_chunk(const AnswerHead& head, int index, FinishReason reason, bool usage_later) {
  return chunk(head, index, {}, nullptr, Json(finish_name(reason)), usage_later);
}

JsonObject chat_usage_chunk(const AnswerHead& head, const UsageReport& usage) {
  JsonObject out = head_json(head, "chat.completion.chunk");
  out["choices"] = JsonArray();
  out["usage"] = usage_json(usage);
  return out;
}

}  // namespace stoa::gateway::openai
