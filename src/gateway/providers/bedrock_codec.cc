#include "gateway/providers/bedrock_codec.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/id.h"
#include "gateway/providers/aws_stream.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using infra::HttpClientRequest;

constexpr std::string_view kFamily = "bedrock";
constexpr std::array<std::string_view, 10> kLacks{"prompt", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "logit_bias", "logprobs", "ignore_eos"};
constexpr std::string_view kStopPath = "/stop_sequence";  // where models of Anthropic say which one it was
constexpr std::size_t kMostStop = 1024;                 // bytes of it

// ---- Requests

Status check_expressible(const ChatRequest& request) {
  STOA_CHECK(refuse_lacking(kFamily, kLacks, request));
  if (request.sampling.temperature > 1) return cannot_express(kFamily, "temperature");
  if (request.constraint && request.constraint->kind != AnswerConstraint::Kind::kJsonSchema) return cannot_express(kFamily, request.constraint->field);
  return {};
}

Result<JsonObject> image_block(const ChatImage& image) {
  constexpr std::array<std::string_view, 4> kFormats{"png", "jpeg", "gif", "webp"};
  const std::string_view type = image.media_type;
  const std::string_view format = type.starts_with("image/") ? type.substr(6) : std::string_view();
  const bool stored = image.data.empty() && image.url.starts_with("s3://");
  if ((image.data.empty() && !stored) || std::ranges::find(kFormats, format) == kFormats.end())
    return fail(error(ErrorCode::kUnsupported, "the protocol of {} takes images as png, jpeg, gif or webp in base64, not from elsewhere", kFamily).with_param("messages"));
  return JsonObject{{"image", JsonObject{{"format", format}, {"source", stored ? JsonObject{{"s3Location", JsonObject{{"uri", image.url}}}} : JsonObject{{"bytes", image.data}}}}}};
}

// Texts, none of them empty, and images.
Status each_block(const ChatMessage& message, const std::function<void(JsonObject)>& add) {
  return each_part(message, [&](std::string_view text) { add({{"text", text}}); },
                   [&](const ChatImage& image) -> Status {
                     STOA_TRY(block, image_block(image));
                     add(std::move(block));
                     return {};
                   });
}

Status add_message(const ChatMessage& message, JsonArray& system, Turns& turns) {
  if (message.role == "system") {
    if (!message.content.empty()) system.push_back(JsonObject{{"text", message.content}});
    return {};
  }
  if (message.role == "tool") {
    JsonArray content;
    STOA_CHECK(each_block(message, [&](JsonObject block) { content.push_back(std::move(block)); }));
    if (content.empty()) content.push_back(JsonObject{{"text", ""}});
    turns.add("user", {{"toolResult", JsonObject{{"toolUseId", message.tool_call_id}, {"content", std::move(content)}}}});
    return {};
  }
  STOA_CHECK(each_block(message, [&](JsonObject block) { turns.add(message.role, std::move(block)); }));
  for (const ToolCall& call : message.tool_calls) {
    STOA_TRY(input, parse_part(call.arguments.empty() ? "{}" : call.arguments, "messages"));
    turns.add(message.role, {{"toolUse", JsonObject{{"toolUseId", call.id}, {"name", call.name}, {"input", std::move(input)}}}});
  }
  return {};
}

Status put_tools(const ChatRequest& request, JsonObject& body) {
  JsonArray tools;
  for (const ToolDefinition& tool : request.tools) {
    JsonObject spec{{"name", tool.name}};
    if (!tool.description.empty()) spec["description"] = tool.description;
    STOA_TRY(schema, parse_part(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters, "tools"));
    spec["inputSchema"] = JsonObject{{"json", std::move(schema)}};
    if (tool.strict) spec["strict"] = true;
    tools.push_back(JsonObject{{"toolSpec", std::move(spec)}});
  }
  JsonObject config{{"tools", std::move(tools)}};
  using Mode = ToolChoice::Mode;
  if (request.tool_choice.mode == Mode::kRequired) config["toolChoice"] = JsonObject{{"any", JsonObject()}};
  if (request.tool_choice.mode == Mode::kNamed) config["toolChoice"] = JsonObject{{"tool", JsonObject{{"name", request.tool_choice.name}}}};
  body["toolConfig"] = std::move(config);
  return {};
}

Status put_output(const ProviderTarget& target, const ChatRequest& request, JsonObject& body) {
  JsonObject output;
  if (request.constraint) {
    STOA_CHECK(parse_part(request.constraint->text, request.constraint->field));  // it travels as text
    output["textFormat"] = JsonObject{{"type", "json_schema"}, {"structure", JsonObject{{"jsonSchema", JsonObject{{"schema", request.constraint->text}, {"name", "answer"}}}}}};
  }
  const auto takes = target.options.find("effort");
  if (takes != target.options.end() && takes->second == "yes" && !request.reasoning_effort.empty()) output["effort"] = request.reasoning_effort;
  if (!output.empty()) body["outputConfig"] = std::move(output);
  return {};
}

Result<JsonObject> body_of(const ProviderTarget& target, const ChatRequest& request) {
  STOA_CHECK(check_expressible(request));
  JsonArray system;
  Turns turns("content");
  bool called = false;
  for (const ChatMessage& message : request.messages) {
    STOA_CHECK(add_message(message, system, turns));
    called = called || !message.tool_calls.empty();
  }
  // Where calls are in the history the API wants the tools as well, and it has no word for not calling them.
  if (called && !request.tools.empty() && request.tool_choice.mode == ToolChoice::Mode::kNone) return cannot_express(kFamily, "tool_choice");
  JsonObject body{{"messages", turns.take()}}, inference;
  if (!system.empty()) body["system"] = std::move(system);
  int max_tokens = request.max_tokens;
  // As Anthropic's own protocol has it: nothing forced, nothing called before, nothing else about sampling.
  const int budget = thinking_budget(target, request);
  const bool forced = request.constraint || (offers_tools(request) && request.tool_choice.mode != ToolChoice::Mode::kAuto);
  if (budget > 0 && !forced && !called && request.sampling.temperature == 1 && request.sampling.top_p == 1) {
    body["additionalModelRequestFields"] = JsonObject{{"thinking", JsonObject{{"type", "enabled"}, {"budget_tokens", budget}}}};
    if (max_tokens > 0) max_tokens += budget;  // it counts the thoughts
  }
  if (max_tokens > 0) inference["maxTokens"] = max_tokens;
  if (request.sampling.temperature != 1) inference["temperature"] = request.sampling.temperature;
  if (request.sampling.top_p != 1) inference["topP"] = request.sampling.top_p;
  if (!request.stop.empty()) {
    inference["stopSequences"] = JsonArray(request.stop.begin(), request.stop.end());
    body["additionalModelResponseFieldPaths"] = JsonArray{kStopPath};
  }
  if (!inference.empty()) body["inferenceConfig"] = std::move(inference);
  if (offers_tools(request)) STOA_CHECK(put_tools(request, body));
  STOA_CHECK(put_output(target, request, body));
  return body;
}

// ---- Streams

class BedrockDecoder final : public AwsStreamDecoder {
 public:
  explicit BedrockDecoder(const ChatRequest& request) : only_stop_(request.stop.size() == 1 ? request.stop.front() : "") {}

 protected:
  Status event(std::string_view name, std::string_view payload, UpstreamAnswer& answer) override {
    JsonArena arena;
    STOA_TRY(object, upstream_event(payload, arena));
    if (name == "contentBlockStart") return start(object, answer);
    if (name == "contentBlockDelta") return piece(object, answer);
    if (name == "contentBlockStop") return stop(object, answer);
    if (name == "messageStop") return finish(object, answer);
    if (name == "metadata") return end_with(object, answer);
    return {};  // messageStart, and what later versions add
  }

 private:
  struct Block {
    int index = 0;  // of the call
    bool has_input = false;
  };

  static std::int64_t place_of(const JsonObject& event) { return upstream_count(event, "contentBlockIndex").value_or(-1); }

  Status start(const JsonObject& event, UpstreamAnswer& answer) {
    const JsonObject* begin = upstream_object(event, "start");
    const JsonObject* tool = begin == nullptr ? nullptr : upstream_object(*begin, "toolUse");
    if (tool == nullptr) return {};
    const std::string_view name = upstream_text(*tool, "name"), id = upstream_text(*tool, "toolUseId");
    if (name.empty()) return fail(ErrorCode::kUnavailable, "its stream holds a call of a tool without the tool's name");
    if (blocks_.size() >= kMaxUpstreamCalls) return fail(ErrorCode::kUnavailable, "its answer calls tools more than {} times", kMaxUpstreamCalls);
    const auto [block, fresh] = blocks_.emplace(place_of(event), Block{static_cast<int>(blocks_.size())});
    if (!fresh) return fail(ErrorCode::kUnavailable, "its stream begins a call of a tool twice");
    answer.give({.text = {}, .logprobs = {}, .reasoning = {},
                 .tool_calls = {{.index = block->second.index, .id = id.empty() ? new_id("call") : std::string(id), .name = std::string(name), .arguments = {}}}});
    return {};
  }

  Status piece(const JsonObject& event, UpstreamAnswer& answer) {
    const JsonObject* delta = upstream_object(event, "delta");
    if (delta == nullptr) return fail(ErrorCode::kUnavailable, "its stream holds a delta that cannot be read");
    if (const auto text = upstream_text(*delta, "text"); !text.empty()) answer.give({.text = std::string(text), .logprobs = {}});
    if (const JsonObject* thought = upstream_object(*delta, "reasoningContent"); thought != nullptr && !upstream_text(*thought, "text").empty())
      answer.give({.text = {}, .logprobs = {}, .reasoning = std::string(upstream_text(*thought, "text"))});
    const JsonObject* tool = upstream_object(*delta, "toolUse");
    if (tool == nullptr) return {};
    const auto block = blocks_.find(place_of(event));
    if (block == blocks_.end()) return fail(ErrorCode::kUnavailable, "its stream holds arguments of a call that has not begun");
    if (const auto json = upstream_text(*tool, "input"); !json.empty()) give_input(block->second, json, answer);
    return {};
  }

  Status stop(const JsonObject& event, UpstreamAnswer& answer) {
    const auto block = blocks_.find(place_of(event));
    if (block != blocks_.end() && !block->second.has_input) give_input(block->second, "{}", answer);
    return {};
  }

  static void give_input(Block& block, std::string_view json, UpstreamAnswer& answer) {
    block.has_input = true;
    answer.give({.text = {}, .logprobs = {}, .reasoning = {}, .tool_calls = {{.index = block.index, .id = {}, .name = {}, .arguments = std::string(json)}}});
  }

  Status finish(const JsonObject& event, UpstreamAnswer& answer) {
    const std::string_view reason = upstream_text(event, "stopReason");
    if (reason == "guardrail_intervened" || reason == "content_filtered")
      answer.finish = FinishReason::kContentFilter;
    else if (reason == "max_tokens" || reason == "model_context_window_exceeded")
      answer.finish = FinishReason::kLength;
    else if (reason == "tool_use")
      answer.finish = blocks_.empty() ? FinishReason::kStop : FinishReason::kToolCalls;
    else if (reason == "end_turn" || reason == "stop_sequence")
      answer.finish = FinishReason::kStop;
    else
      return fail(ErrorCode::kUnavailable, "its answer ended for the reason '{}', which is none of a whole answer", reason.substr(0, 64));
    if (reason != "stop_sequence") return {};
    answer.stop = only_stop_;
    const JsonObject* more = upstream_object(event, "additionalModelResponseFields");
    if (more != nullptr && answer.stop.empty()) answer.stop = upstream_text(*more, kStopPath.substr(1)).substr(0, kMostStop);
    return {};
  }

  // The last event, with the counts.
  static Status end_with(const JsonObject& event, UpstreamAnswer& answer) {
    if (!answer.finish) return fail(ErrorCode::kUnavailable, "its stream ended without a stopReason");
    if (const JsonObject* usage = upstream_object(event, "usage")) {
      const auto input = upstream_count(*usage, "inputTokens"), output = upstream_count(*usage, "outputTokens");
      if (input) {  // those that no cache had part in
        answer.usage.cached_tokens = upstream_count(*usage, "cacheReadInputTokens").value_or(0);
        answer.usage.prompt_tokens = *input + answer.usage.cached_tokens + upstream_count(*usage, "cacheWriteInputTokens").value_or(0);
        answer.prompt_counted = true;
      }
      if (output) answer.usage.completion_tokens = *output;
      answer.completion_counted = output.has_value();
    }
    answer.complete = true;
    return {};
  }

  const std::string only_stop_;           // if there is but one
  std::map<std::int64_t, Block> blocks_;  // calls of tools, by the place of their block
};

class BedrockCodec final : public ProviderCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string&, const ChatRequest& request) const override {
    STOA_TRY(body, body_of(target, request));
    HttpClientRequest out{.method = "POST", .url = fmt::format("{}/model/{}/converse-stream", base_url(target), infra::percent_encode(target.model)), .body = dump_json(body)};
    out.headers = {{"Content-Type", "application/json"}, {"Accept", "application/vnd.amazon.eventstream"}};
    return out;
  }
  std::unique_ptr<AnswerDecoder> decoder(const ChatRequest& request) const override { return std::make_unique<BedrockDecoder>(request); }
  // The list is at the host without "-runtime".
  std::optional<HttpClientRequest> model_list(const ProviderTarget& target, const std::string&) const override {
    constexpr std::string_view kRuntime = "://bedrock-runtime";
    std::string url = base_url(target);
    if (const auto at = url.find(kRuntime); at != std::string::npos && url.contains(".amazonaws.com")) url.replace(at, kRuntime.size(), "://bedrock");
    return HttpClientRequest{.url = url + "/foundation-models"};
  }
};

}  // namespace

std::unique_ptr<ProviderCodec> make_bedrock_codec() { return std::make_unique<BedrockCodec>(); }

}  // namespace stoa::gateway
