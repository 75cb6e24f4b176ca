#include "gateway/providers/vertex_codec.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/id.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using infra::HttpClientRequest;

constexpr std::string_view kFamily = "vertex";
constexpr std::array<std::string_view, 6> kLacks{"prompt", "min_p", "repetition_penalty", "logit_bias", "logprobs", "ignore_eos"};
// Models that think want proof that a call in the history is theirs, which callers of other protocols do not keep; this is what Google gives for such histories.
constexpr std::string_view kForeignThought = "skip_thought_signature_validator";

// ---- Requests

std::string_view thinking_of(const ProviderTarget& target) {
  const auto found = target.options.find("thinking");
  return found == target.options.end() ? std::string_view() : std::string_view(found->second);
}

JsonObject image_part(const ChatImage& image) {
  if (!image.data.empty()) return {{"inlineData", JsonObject{{"mimeType", image.media_type}, {"data", image.data}}}};
  JsonObject file{{"fileUri", image.url}};
  if (!image.media_type.empty()) file["mimeType"] = image.media_type;
  return {{"fileData", std::move(file)}};
}

// How much a model thinks, in the words of its generation; what does not think is told nothing.
JsonObject thinking_config(std::string_view way, const std::string& effort) {
  constexpr std::pair<std::string_view, int> kBudgets[] = {{"none", 0}, {"minimal", 1024}, {"low", 1024}, {"medium", 8192}, {"high", 24576}};  // as Google's own endpoint for OpenAI's protocol has them
  JsonObject out{{"includeThoughts", true}};
  if (effort.empty()) return out;
  if (way == "level") out["thinkingLevel"] = effort == "none" ? std::string_view("minimal") : std::string_view(effort);
  for (const auto& [name, budget] : kBudgets)
    if (way == "budget" && name == effort) out["thinkingBudget"] = budget;
  return out;
}

class Conversation {
 public:
  explicit Conversation(bool thinks) : thinks_(thinks) {}

  Status add(const ChatMessage& message) {
    if (message.role == "system") {
      if (!message.content.empty()) system_.push_back(JsonObject{{"text", message.content}});
      return {};
    }
    if (message.role == "tool") return add_result(message);
    const std::string_view role = message.role == "assistant" ? "model" : "user";
    STOA_CHECK(each_part(message, [&](std::string_view text) { turns_.add(role, {{"text", text}}); },
                         [&](const ChatImage& image) -> Status {
                           turns_.add(role, image_part(image));
                           return {};
                         }));
    for (const ToolCall& call : message.tool_calls) {
      STOA_TRY(arguments, parse_part(call.arguments.empty() ? "{}" : call.arguments, "messages"));
      JsonObject part{{"functionCall", JsonObject{{"name", call.name}, {"args", std::move(arguments)}}}};
      if (thinks_) part["thoughtSignature"] = kForeignThought;
      turns_.add(role, std::move(part));
      names_[call.id] = call.name;
    }
    return {};
  }

  void put(JsonObject& body) {
    body["contents"] = turns_.take();
    if (!system_.empty()) body["systemInstruction"] = JsonObject{{"parts", std::move(system_)}};
  }

 private:
  // Answers go by the name of the function, in the order of the calls.
  Status add_result(const ChatMessage& message) {
    if (!message.images.empty()) return cannot_express(kFamily, "messages");
    const auto name = names_.find(message.tool_call_id);
    if (name == names_.end())
      return fail(error(ErrorCode::kInvalidArgument, "a message of a tool answers the call '{}', which no message before it made", message.tool_call_id.substr(0, 100)).with_param("messages"));
    auto parsed = parse_json(message.content);
    JsonObject response = parsed && parsed->is_object() ? std::move(parsed->get_object()) : JsonObject{{"output", message.content}};
    turns_.add("user", {{"functionResponse", JsonObject{{"name", name->second}, {"response", std::move(response)}}}});
    return {};
  }

  const bool thinks_;
  Turns turns_{"parts"};
  JsonArray system_;
  std::map<std::string, std::string> names_;  // of calls, by their id
};

Status put_tools(const ChatRequest& request, JsonObject& body) {
  JsonArray functions;
  bool strict = false;
  for (const ToolDefinition& tool : request.tools) {
    JsonObject function{{"name", tool.name}};
    if (!tool.description.empty()) function["description"] = tool.description;
    if (!tool.parameters.empty()) {
      STOA_TRY(schema, parse_part(tool.parameters, "tools"));
      function["parametersJsonSchema"] = std::move(schema);
    }
    strict = strict || tool.strict;
    functions.push_back(std::move(function));
  }
  body["tools"] = JsonArray{JsonObject{{"functionDeclarations", std::move(functions)}}};
  using Mode = ToolChoice::Mode;
  const Mode mode = request.tool_choice.mode;
  JsonObject config{{"mode", mode != Mode::kAuto ? "ANY" : strict ? "VALIDATED" : "AUTO"}};
  if (mode == Mode::kNamed) config["allowedFunctionNames"] = JsonArray{Json(request.tool_choice.name)};
  body["toolConfig"] = JsonObject{{"functionCallingConfig", std::move(config)}};
  return {};
}

Result<JsonObject> generation_config(const ProviderTarget& target, const ChatRequest& request) {
  const SamplingOptions& sampling = request.sampling;
  JsonObject out;
  if (sampling.temperature != 1) out["temperature"] = sampling.temperature;
  if (sampling.top_p != 1) out["topP"] = sampling.top_p;
  if (sampling.top_k > 0) out["topK"] = sampling.top_k;
  if (request.max_tokens > 0) out["maxOutputTokens"] = request.max_tokens;
  if (!request.stop.empty()) out["stopSequences"] = JsonArray(request.stop.begin(), request.stop.end());
  if (sampling.presence_penalty != 0) out["presencePenalty"] = sampling.presence_penalty;
  if (sampling.frequency_penalty != 0) out["frequencyPenalty"] = sampling.frequency_penalty;
  if (sampling.seed) out["seed"] = static_cast<std::int32_t>(*sampling.seed & 0x7fffffff);  // the field has 32 bits
  if (request.constraint) {
    using Kind = AnswerConstraint::Kind;
    const Kind kind = request.constraint->kind;
    if (kind != Kind::kJsonObject && kind != Kind::kJsonSchema) return cannot_express(kFamily, request.constraint->field);
    STOA_TRY(schema, parse_part(kind == Kind::kJsonObject ? std::string_view(R"({"type":"object"})") : request.constraint->text, request.constraint->field));
    out["responseMimeType"] = "application/json";
    out["responseJsonSchema"] = std::move(schema);
  }
  if (const auto way = thinking_of(target); !way.empty()) out["thinkingConfig"] = thinking_config(way, request.reasoning_effort);
  return out;
}

Result<JsonObject> body_of(const ProviderTarget& target, const ChatRequest& request) {
  STOA_CHECK(refuse_lacking(kFamily, kLacks, request));
  Conversation conversation(thinking_of(target) == "level");
  for (const ChatMessage& message : request.messages) STOA_CHECK(conversation.add(message));
  JsonObject body;
  conversation.put(body);
  if (offers_tools(request)) STOA_CHECK(put_tools(request, body));
  STOA_TRY(config, generation_config(target, request));
  if (!config.empty()) body["generationConfig"] = std::move(config);
  return body;
}

// ---- Streams

// Each event is a piece of the answer in the shape of a whole one. The last has the reason; no event comes only to say that it was the last.
class VertexDecoder final : public EventDecoder {
 public:
  Status end(UpstreamAnswer& answer) override {
    answer.complete = answer.finish.has_value();
    return {};
  }

 protected:
  Status event(const infra::SseEvent& event, UpstreamAnswer& answer) override {
    JsonArena arena;
    STOA_TRY(chunk, upstream_event(event.data, arena));
    if (find(chunk, "error") != nullptr) return fail(stream_error(read_problem(chunk)));
    if (const JsonObject* usage = upstream_object(chunk, "usageMetadata")) count(*usage, answer);
    if (const JsonObject* feedback = upstream_object(chunk, "promptFeedback"); feedback != nullptr && !upstream_text(*feedback, "blockReason").empty())
      answer.finish = FinishReason::kContentFilter;
    const Json* candidates = find(chunk, "candidates");
    if (candidates == nullptr || !candidates->is_array() || candidates->get_array().empty()) return {};
    const Json& first = candidates->get_array().front();
    if (!first.is_object()) return fail(ErrorCode::kUnavailable, "its stream holds a candidate that is no object");
    return candidate(first.get_object(), answer);
  }

 private:
  static void count(const JsonObject& usage, UpstreamAnswer& answer) {
    const auto number = [&](std::string_view name) { return upstream_count(usage, name); };
    if (const auto prompt = number("promptTokenCount")) {
      answer.usage.prompt_tokens = *prompt + number("toolUsePromptTokenCount").value_or(0);
      answer.usage.cached_tokens = std::min(number("cachedContentTokenCount").value_or(0), answer.usage.prompt_tokens);
      answer.prompt_counted = true;
    }
    const auto written = number("candidatesTokenCount"), thought = number("thoughtsTokenCount");  // beside each other
    if (!written && !thought) return;
    answer.usage.reasoning_tokens = thought.value_or(0);
    answer.usage.completion_tokens = written.value_or(0) + answer.usage.reasoning_tokens;
    answer.completion_counted = true;
  }

  Status candidate(const JsonObject& candidate, UpstreamAnswer& answer) {
    const JsonObject* content = upstream_object(candidate, "content");
    const Json* parts = content == nullptr ? nullptr : find(*content, "parts");
    if (parts != nullptr && parts->is_array())
      for (const Json& each : parts->get_array())
        if (each.is_object()) STOA_CHECK(part(each.get_object(), answer));
    const std::string_view reason = upstream_text(candidate, "finishReason");
    return reason.empty() || reason == "FINISH_REASON_UNSPECIFIED" ? Status() : finish(reason, answer);
  }

  Status part(const JsonObject& part, UpstreamAnswer& answer) {
    if (const auto text = upstream_text(part, "text"); !text.empty()) {
      const Json* thought = find(part, "thought");
      if (thought != nullptr && thought->is_bool() && thought->get_bool())
        answer.give({.text = {}, .logprobs = {}, .reasoning = std::string(text)});
      else
        answer.give({.text = std::string(text), .logprobs = {}});
    }
    const JsonObject* call = upstream_object(part, "functionCall");
    if (call == nullptr) return {};
    const std::string_view name = upstream_text(*call, "name"), id = upstream_text(*call, "id");
    if (name.empty()) return fail(ErrorCode::kUnavailable, "its stream holds a call of a tool without the tool's name");
    if (calls_ >= kMaxUpstreamCalls) return fail(ErrorCode::kUnavailable, "its answer calls tools more than {} times", kMaxUpstreamCalls);
    const JsonObject* arguments = upstream_object(*call, "args");
    answer.give({.text = {}, .logprobs = {}, .reasoning = {},
                 .tool_calls = {{.index = calls_++, .id = id.empty() ? new_id("call") : std::string(id), .name = std::string(name),
                                 .arguments = arguments == nullptr ? "{}" : dump_json(*arguments)}}});
    return {};
  }

  Status finish(std::string_view reason, UpstreamAnswer& answer) {
    constexpr std::array<std::string_view, 7> kFiltered{"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"};
    if (std::ranges::find(kFiltered, reason) != kFiltered.end())
      answer.finish = FinishReason::kContentFilter;
    else if (reason == "MAX_TOKENS")
      answer.finish = FinishReason::kLength;
    else if (reason == "STOP")
      answer.finish = calls_ > 0 ? FinishReason::kToolCalls : FinishReason::kStop;
    else
      return fail(ErrorCode::kUnavailable, "its answer ended for the reason '{}', which is none of a whole answer", reason.substr(0, 64));
    return {};
  }

  int calls_ = 0;
};

class VertexCodec final : public ProviderCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string&, const ChatRequest& request) const override {
    STOA_TRY(body, body_of(target, request));
    HttpClientRequest out{.method = "POST", .url = fmt::format("{}/models/{}:streamGenerateContent?alt=sse", base_url(target), infra::percent_encode(target.model)), .body = dump_json(body)};
    out.headers = {{"Content-Type", "application/json"}, {"Accept", "text/event-stream"}};
    return out;
  }
  std::unique_ptr<AnswerDecoder> decoder(const ChatRequest&) const override { return std::make_unique<VertexDecoder>(); }
  // Vertex lists what a publisher has without naming a project.
  std::optional<HttpClientRequest> model_list(const ProviderTarget& target, const std::string&) const override {
    const std::string url = base_url(target);
    const auto version = url.find("/v1"), project = url.find("/projects/"), publisher = url.find("/publishers/");
    if (version == std::string::npos || project == std::string::npos || publisher == std::string::npos) return HttpClientRequest{.url = url + "/models?pageSize=1000"};
    return HttpClientRequest{.url = url.substr(0, version) + "/v1beta1" + url.substr(publisher) + "/models?pageSize=1000"};
  }
};

}  // namespace

std::unique_ptr<ProviderCodec> make_vertex_codec() { return std::make_unique<VertexCodec>(); }

}  // namespace stoa::gateway
