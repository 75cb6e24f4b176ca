#include "gateway/providers/anthropic_codec.h"

#include <array>
#include <map>

#include "base/id.h"

namespace stoa::gateway {
namespace {

using infra::HttpClientRequest;

constexpr std::string_view kFamily = "anthropic", kVersion = "2023-06-01";
constexpr std::size_t kMostStop = 1024;  // bytes of a stop sequence
constexpr int kDefaultMaxTokens = 4096;       // the protocol demands a limit; the option max_tokens sets another
constexpr std::string_view kAnswerTool = "answer";  // whose arguments are the answer, where JSON is asked for

// ---- Requests

constexpr std::array<std::string_view, 9> kLacks{"prompt",           "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty",
                                                "seed", "logit_bias", "logprobs", "ignore_eos"};

Status check_expressible(const ChatRequest& request) {
  STOA_CHECK(refuse_lacking(kFamily, kLacks, request));
  if (request.sampling.temperature > 1) return cannot_express(kFamily, "temperature");  // 0 to 1
  if (!request.constraint) return {};
  const auto kind = request.constraint->kind;
  const bool json = kind == AnswerConstraint::Kind::kJsonObject || kind == AnswerConstraint::Kind::kJsonSchema;
  if (!json || offers_tools(request)) return cannot_express(kFamily, request.constraint->field);
  return {};
}

// Texts, none of them empty, which the protocol refuses, and images.
Status each_block(const ChatMessage& message, const std::function<void(JsonObject)>& add) {
  return each_part(message, [&](std::string_view text) { add({{"type", "text"}, {"text", text}}); },
                   [&](const ChatImage& image) -> Status {
                     add({{"type", "image"}, {"source", image.data.empty() ? JsonObject{{"type", "url"}, {"url", image.url}}
                                                                           : JsonObject{{"type", "base64"}, {"media_type", image.media_type}, {"data", image.data}}}});
                     return {};
                   });
}

Status add_message(const ChatMessage& message, std::string& system, Turns& turns) {
  if (message.role == "system") {
    if (!system.empty()) system += "\n\n";
    system += message.content;
    return {};
  }
  if (message.role == "tool") {
    Json content(message.content);
    if (!message.images.empty()) {
      JsonArray blocks;
      STOA_CHECK(each_block(message, [&](JsonObject block) { blocks.push_back(std::move(block)); }));
      content = std::move(blocks);
    }
    turns.add("user", {{"type", "tool_result"}, {"tool_use_id", message.tool_call_id}, {"content", std::move(content)}});
    return {};
  }
  STOA_CHECK(each_block(message, [&](JsonObject block) { turns.add(message.role, std::move(block)); }));
  for (const ToolCall& call : message.tool_calls) {
    STOA_TRY(input, parse_part(call.arguments.empty() ? "{}" : call.arguments, "messages"));
    turns.add(message.role, {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", std::move(input)}});
  }
  return {};
}

Status put_tools(const ChatRequest& request, JsonObject& body) {
  JsonArray tools;
  for (const ToolDefinition& tool : request.tools) {
    JsonObject out{{"name", tool.name}};
    if (!tool.description.empty()) out["description"] = tool.description;
    STOA_TRY(schema, parse_part(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters, "tools"));
    out["input_schema"] = std::move(schema);
    tools.push_back(std::move(out));
  }
  body["tools"] = std::move(tools);
  using Mode = ToolChoice::Mode;
  JsonObject choice{{"type", request.tool_choice.mode == Mode::kRequired ? "any" : request.tool_choice.mode == Mode::kNamed ? "tool" : "auto"}};
  if (request.tool_choice.mode == Mode::kNamed) choice["name"] = request.tool_choice.name;
  if (!request.parallel_tool_calls) choice["disable_parallel_tool_use"] = true;
  body["tool_choice"] = std::move(choice);
  return {};
}

// The answer as the arguments of a tool that has to be called.
Status put_constraint(const AnswerConstraint& constraint, JsonObject& body) {
  STOA_TRY(schema, parse_part(constraint.kind == AnswerConstraint::Kind::kJsonObject ? std::string_view(R"({"type":"object"})") : constraint.text, constraint.field));
  if (!schema.is_object() || upstream_text(schema.get_object(), "type") != "object")
    return fail(error(ErrorCode::kUnsupported, "the protocol of {} expresses schemas of objects only", kFamily).with_param(constraint.field));
  body["tools"] = JsonArray{JsonObject{{"name", kAnswerTool}, {"description", "Gives the answer."}, {"input_schema", std::move(schema)}}};
  body["tool_choice"] = JsonObject{{"type", "tool"}, {"name", kAnswerTool}};
  return {};
}

Result<JsonObject> body_of(const ProviderTarget& target, const ChatRequest& request) {
  STOA_CHECK(check_expressible(request));
  std::string system;
  Turns turns("content");
  bool called = false;
  for (const ChatMessage& message : request.messages) {
    STOA_CHECK(add_message(message, system, turns));
    called = called || !message.tool_calls.empty();
  }
  int max_tokens = request.max_tokens > 0 ? request.max_tokens : number_option(target, "max_tokens", kDefaultMaxTokens);
  JsonObject body{{"model", target.model}, {"messages", turns.take()}, {"stream", true}};
  if (!system.empty()) body["system"] = system;
  if (!request.stop.empty()) body["stop_sequences"] = JsonArray(request.stop.begin(), request.stop.end());
  // With a budget the model thinks first, where nothing stands against it: the protocol wants the temperature as it is, no forced tool, and
  // signed thoughts beside earlier calls, which callers of other protocols do not have.
  const int budget = thinking_budget(target, request);
  const bool forced = request.constraint || (offers_tools(request) && request.tool_choice.mode != ToolChoice::Mode::kAuto);
  if (budget > 0 && !forced && !called && request.sampling.temperature == 1 && request.sampling.top_k == 0 && request.sampling.top_p == 1) {
    body["thinking"] = JsonObject{{"type", "enabled"}, {"budget_tokens", budget}};
    max_tokens += budget;  // it counts the thoughts
  }
  body["max_tokens"] = max_tokens;
  if (request.sampling.temperature != 1) body["temperature"] = request.sampling.temperature;
  if (request.sampling.top_p != 1) body["top_p"] = request.sampling.top_p;
  if (request.sampling.top_k > 0) body["top_k"] = request.sampling.top_k;
  if (offers_tools(request)) STOA_CHECK(put_tools(request, body));
  if (request.constraint) STOA_CHECK(put_constraint(*request.constraint, body));
  return body;
}

// ---- Streams

class AnthropicDecoder final : public EventDecoder {
 public:
  explicit AnthropicDecoder(bool answers_by_tool) : answers_by_tool_(answers_by_tool) {}

 protected:
  Status event(const infra::SseEvent& event, UpstreamAnswer& answer) override {
    JsonArena arena;
    STOA_TRY(object, upstream_event(event.data, arena));
    const std::string_view type = upstream_text(object, "type");
    if (type == "error") return fail(stream_error(read_problem(object)));
    if (type == "message_start") {
      if (const JsonObject* message = upstream_object(object, "message"))
        if (const JsonObject* usage = upstream_object(*message, "usage")) count(*usage, false, answer);
      return {};
    }
    if (type == "content_block_start") return start(object, answer);
    if (type == "content_block_delta") return piece(event.data, object, answer);
    if (type == "content_block_stop") return stop(object, answer);
    if (type == "message_delta") {
      if (const JsonObject* usage = upstream_object(object, "usage")) count(*usage, true, answer);
      const JsonObject* delta = upstream_object(object, "delta");
      const std::string_view reason = delta == nullptr ? std::string_view() : upstream_text(*delta, "stop_reason");
      if (reason == "stop_sequence") answer.stop = upstream_text(*delta, "stop_sequence").substr(0, kMostStop);
      return reason.empty() ? Status() : finish(reason, answer);
    }
    if (type == "message_stop") {
      if (!answer.finish) return fail(ErrorCode::kUnavailable, "its stream ended without a stop_reason");
      answer.complete = true;
    }
    return {};  // ping, and what later versions add
  }

 private:
  // A call of a tool; with `is_answer` its arguments are the text.
  struct Block {
    int index = 0;
    bool is_answer = false, has_input = false;
  };

  void count(const JsonObject& usage, bool last, UpstreamAnswer& answer) {
    if (const auto input = upstream_count(usage, "input_tokens")) input_ = *input;
    if (const auto read = upstream_count(usage, "cache_read_input_tokens")) read_ = *read;
    if (const auto created = upstream_count(usage, "cache_creation_input_tokens")) created_ = *created;
    answer.usage.prompt_tokens = input_ + read_ + created_;  // input_tokens are those that no cache had part in
    answer.usage.cached_tokens = read_;
    answer.prompt_counted = true;
    if (!last) return;
    if (const auto output = upstream_count(usage, "output_tokens")) {
      answer.usage.completion_tokens = *output;
      answer.completion_counted = true;
    }
  }

  Status start(const JsonObject& event, UpstreamAnswer& answer) {
    const JsonObject* block = upstream_object(event, "content_block");
    const auto place = upstream_count(event, "index");
    if (block == nullptr || !place) return fail(ErrorCode::kUnavailable, "its stream begins a block that cannot be read");
    const std::string_view type = upstream_text(*block, "type");
    if (type == "text" && !upstream_text(*block, "text").empty()) answer.give({.text = std::string(upstream_text(*block, "text")), .logprobs = {}});
    if (type != "tool_use") return {};
    if (blocks_.size() >= kMaxUpstreamCalls) return fail(ErrorCode::kUnavailable, "its answer calls tools more than {} times", kMaxUpstreamCalls);
    const std::string_view name = upstream_text(*block, "name"), id = upstream_text(*block, "id");
    if (name.empty()) return fail(ErrorCode::kUnavailable, "its stream holds a call of a tool without the tool's name");
    Block& opened = blocks_[*place];
    opened = {.index = calls_, .is_answer = answers_by_tool_ && name == kAnswerTool};
    if (opened.is_answer) return {};
    ++calls_;
    answer.give({.text = {}, .logprobs = {}, .reasoning = {},
                 .tool_calls = {{.index = opened.index, .id = id.empty() ? new_id("call") : std::string(id), .name = std::string(name), .arguments = {}}}});
    return {};
  }

  Status piece(std::string_view data, const JsonObject& event, UpstreamAnswer& answer) {
    const JsonObject* delta = upstream_object(event, "delta");
    if (delta == nullptr) return fail(ErrorCode::kUnavailable, "its stream holds a delta that cannot be read");
    const std::string_view type = upstream_text(*delta, "type");
    if (type == "text_delta") {
      answer.give({.text = std::string(upstream_text(*delta, "text")), .logprobs = {}});
      only_text(data, "text", upstream_text(*delta, "text"));
    }
    if (type == "thinking_delta") answer.give({.text = {}, .logprobs = {}, .reasoning = std::string(upstream_text(*delta, "thinking"))});
    if (type != "input_json_delta") return {};  // signatures, citations
    const auto block = blocks_.find(upstream_count(event, "index").value_or(-1));
    if (block == blocks_.end()) return fail(ErrorCode::kUnavailable, "its stream holds arguments of a call that has not begun");
    const std::string_view json = upstream_text(*delta, "partial_json");
    if (!json.empty()) give_input(block->second, json, answer);
    return {};
  }

  Status stop(const JsonObject& event, UpstreamAnswer& answer) {
    const auto block = blocks_.find(upstream_count(event, "index").value_or(-1));
    if (block != blocks_.end() && !block->second.has_input) give_input(block->second, "{}", answer);
    return {};
  }

  static void give_input(Block& block, std::string_view json, UpstreamAnswer& answer) {
    block.has_input = true;
    if (block.is_answer)
      answer.give({.text = std::string(json), .logprobs = {}});
    else
      answer.give({.text = {}, .logprobs = {}, .reasoning = {}, .tool_calls = {{.index = block.index, .id = {}, .name = {}, .arguments = std::string(json)}}});
  }

  Status finish(std::string_view reason, UpstreamAnswer& answer) {
    if (reason == "refusal")
      answer.finish = FinishReason::kContentFilter;
    else if (reason == "max_tokens" || reason == "model_context_window_exceeded")
      answer.finish = FinishReason::kLength;
    else if (reason == "tool_use")
      answer.finish = calls_ > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
    else if (reason == "end_turn" || reason == "stop_sequence" || reason == "pause_turn")
      answer.finish = FinishReason::kStop;
    else
      return fail(ErrorCode::kUnavailable, "its answer ended for the reason '{}', which is none that is known", reason.substr(0, 64));
    return {};
  }

  const bool answers_by_tool_;
  int calls_ = 0;
  std::map<std::int64_t, Block> blocks_;  // calls of tools, by the place of their block
  std::int64_t input_ = 0, read_ = 0, created_ = 0;
};

class AnthropicCodec final : public ProviderCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string& credential, const ChatRequest& request) const override {
    STOA_TRY(body, body_of(target, request));
    HttpClientRequest out = start(target, credential, "/v1/messages");
    out.method = "POST";
    out.headers.add("Content-Type", "application/json");
    out.headers.add("Accept", "text/event-stream");
    out.body = dump_json(body);
    return out;
  }
  std::unique_ptr<AnswerDecoder> decoder(const ChatRequest& request) const override { return std::make_unique<AnthropicDecoder>(request.constraint.has_value()); }
  std::optional<HttpClientRequest> model_list(const ProviderTarget& target, const std::string& credential) const override { return start(target, credential, "/v1/models?limit=1000"); }

 private:
  static HttpClientRequest start(const ProviderTarget& target, const std::string& credential, std::string_view path) {
    HttpClientRequest out{.url = base_url(target) + std::string(path)};
    out.headers.add("anthropic-version", std::string(kVersion));
    if (!credential.empty()) out.headers.add("x-api-key", credential);
    return out;
  }
};

}  // namespace

std::unique_ptr<ProviderCodec> make_anthropic_codec() { return std::make_unique<AnthropicCodec>(); }

}  // namespace stoa::gateway
