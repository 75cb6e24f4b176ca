#include "gateway/providers/openai_codec.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/id.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using infra::HttpClientRequest;

// What servers take beyond what OpenAI publishes, and under which names. An empty name: it cannot be said.
struct Dialect {
  std::string_view name;
  std::string_view max_tokens = "max_tokens";
  bool own_defaults = true;  // servers have defaults of their own for what is left out, so everything is said
  std::string_view top_k{}, min_p{}, repetition_penalty{}, ignore_eos{};
  int top_k_off = 0;
  std::string_view regex{}, grammar{};     // fields of constraints
  bool nested_constraint = false;          // in the object structured_outputs
  bool reasoning_back = false;             // takes the reasoning of earlier turns
  bool fills_in = true;                    // takes the suffix of a completion
};
constexpr std::array kDialects{
    Dialect{.name = "openai", .max_tokens = "max_completion_tokens", .own_defaults = false},
    Dialect{.name = "compatible"},
    Dialect{.name = "vllm", .top_k = "top_k", .min_p = "min_p", .repetition_penalty = "repetition_penalty", .ignore_eos = "ignore_eos", .top_k_off = -1, .regex = "regex",
            .grammar = "grammar", .nested_constraint = true, .reasoning_back = true, .fills_in = false},
    Dialect{.name = "llama.cpp", .top_k = "top_k", .min_p = "min_p", .repetition_penalty = "repeat_penalty", .ignore_eos = "ignore_eos", .grammar = "grammar", .reasoning_back = true, .fills_in = false},
    Dialect{.name = "stoa", .top_k = "top_k", .min_p = "min_p", .repetition_penalty = "repetition_penalty", .ignore_eos = "ignore_eos", .regex = "guided_regex",
            .grammar = "guided_grammar", .reasoning_back = true},
};

const Dialect& dialect_of(const ProviderTarget& target) {
  const auto option = target.options.find("server");
  const std::string_view name = option != target.options.end() ? std::string_view(option->second) : target.url.starts_with("https://api.openai.com") ? "openai" : "compatible";
  const auto found = std::ranges::find(kDialects, name, &Dialect::name);
  return found == kDialects.end() ? kDialects[1] : *found;
}

// ---- Requests

Result<JsonArray> content_parts(const ChatMessage& message, const Dialect& dialect) {
  if (message.role != "user") return cannot_express(dialect.name, "messages");  // images are the user's alone
  JsonArray parts;
  STOA_CHECK(each_part(message, [&](std::string_view text) { parts.push_back(JsonObject{{"type", "text"}, {"text", text}}); },
                       [&](const ChatImage& image) -> Status {
                         JsonObject link{{"url", image.data.empty() ? image.url : fmt::format("data:{};base64,{}", image.media_type, image.data)}};
                         if (!image.detail.empty()) link["detail"] = image.detail;
                         parts.push_back(JsonObject{{"type", "image_url"}, {"image_url", std::move(link)}});
                         return {};
                       }));
  return parts;
}

Result<JsonArray> messages_json(const ChatRequest& request, const Dialect& dialect) {
  JsonArray messages;
  for (const ChatMessage& message : request.messages) {
    JsonObject out{{"role", message.role}};
    if (!message.images.empty()) {
      STOA_TRY(parts, content_parts(message, dialect));
      out["content"] = std::move(parts);
    } else if (message.content.empty() && !message.tool_calls.empty()) {
      out["content"] = nullptr;
    } else {
      out["content"] = message.content;
    }
    if (dialect.reasoning_back && !message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
    if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
    JsonArray calls;
    for (const ToolCall& call : message.tool_calls)
      calls.push_back(JsonObject{{"id", call.id}, {"type", "function"}, {"function", JsonObject{{"name", call.name}, {"arguments", call.arguments}}}});
    if (!calls.empty()) out["tool_calls"] = std::move(calls);
    messages.push_back(std::move(out));
  }
  return messages;
}

Status put_tools(const ChatRequest& request, JsonObject& body) {
  if (request.tools.empty() || request.tool_choice.mode == ToolChoice::Mode::kNone) return {};
  JsonArray tools;
  for (const ToolDefinition& tool : request.tools) {
    JsonObject function{{"name", tool.name}};
    if (!tool.description.empty()) function["description"] = tool.description;
    if (!tool.parameters.empty()) {
      STOA_TRY(parameters, parse_part(tool.parameters, "tools"));
      function["parameters"] = std::move(parameters);
    }
    if (tool.strict) function["strict"] = true;
    tools.push_back(JsonObject{{"type", "function"}, {"function", std::move(function)}});
  }
  body["tools"] = std::move(tools);
  if (request.tool_choice.mode == ToolChoice::Mode::kRequired) body["tool_choice"] = "required";
  if (request.tool_choice.mode == ToolChoice::Mode::kNamed)
    body["tool_choice"] = JsonObject{{"type", "function"}, {"function", JsonObject{{"name", request.tool_choice.name}}}};
  if (!request.parallel_tool_calls) body["parallel_tool_calls"] = false;
  return {};
}

Status put_constraint(const AnswerConstraint& constraint, const Dialect& dialect, JsonObject& body) {
  using Kind = AnswerConstraint::Kind;
  if (constraint.kind == Kind::kJsonObject) {
    body["response_format"] = JsonObject{{"type", "json_object"}};
    return {};
  }
  if (constraint.kind == Kind::kJsonSchema) {
    STOA_TRY(schema, parse_part(constraint.text, constraint.field));
    body["response_format"] = JsonObject{{"type", "json_schema"}, {"json_schema", JsonObject{{"name", "answer"}, {"strict", true}, {"schema", std::move(schema)}}}};
    return {};
  }
  const std::string_view field = constraint.kind == Kind::kRegex ? dialect.regex : dialect.grammar;
  if (field.empty()) return cannot_express(dialect.name, constraint.field);
  if (dialect.nested_constraint)
    body["structured_outputs"] = JsonObject{{field, constraint.text}};
  else
    body[field] = constraint.text;
  return {};
}

Status put_sampling(const ChatRequest& request, const Dialect& dialect, JsonObject& body) {
  const SamplingOptions& sampling = request.sampling;
  const auto put = [&](std::string_view field, auto value, auto usual) {
    if (dialect.own_defaults || value != usual) body[field] = value;
  };
  put("temperature", sampling.temperature, 1.0);
  put("top_p", sampling.top_p, 1.0);
  if (sampling.presence_penalty != 0) body["presence_penalty"] = sampling.presence_penalty;
  if (sampling.frequency_penalty != 0) body["frequency_penalty"] = sampling.frequency_penalty;
  if (sampling.seed) body["seed"] = *sampling.seed;
  struct Extension {
    std::string_view ours, theirs;
    Json value;
    bool asked;
  };
  for (Extension& extension : std::array{Extension{"top_k", dialect.top_k, sampling.top_k > 0 ? sampling.top_k : dialect.top_k_off, sampling.top_k > 0},
                                         Extension{"min_p", dialect.min_p, sampling.min_p, sampling.min_p > 0},
                                         Extension{"repetition_penalty", dialect.repetition_penalty, sampling.repetition_penalty, sampling.repetition_penalty != 1.0}}) {
    if (!extension.theirs.empty())
      body[extension.theirs] = std::move(extension.value);
    else if (extension.asked)
      return cannot_express(dialect.name, extension.ours);
  }
  if (request.ignore_eos) {
    if (dialect.ignore_eos.empty()) return cannot_express(dialect.name, "ignore_eos");
    body[dialect.ignore_eos] = true;
  }
  JsonObject bias;
  for (const auto& [token, amount] : sampling.logit_bias) bias[fmt::format("{}", token)] = amount;
  if (!bias.empty()) body["logit_bias"] = std::move(bias);
  return {};
}

Result<JsonObject> body_of(const ProviderTarget& target, const ChatRequest& request) {
  const Dialect& dialect = dialect_of(target);
  JsonObject body{{"model", target.model}};
  const bool chat = !request.messages.empty();
  if (chat) {
    STOA_TRY(messages, messages_json(request, dialect));
    body["messages"] = std::move(messages);
    STOA_CHECK(put_tools(request, body));
  } else {
    body["prompt"] = request.prompt;
    if (!request.suffix.empty()) {
      if (!dialect.fills_in) return cannot_express(dialect.name, "suffix");
      body["suffix"] = request.suffix;
    }
  }
  if (request.max_tokens > 0) body[chat ? dialect.max_tokens : "max_tokens"] = request.max_tokens;
  if (!request.stop.empty()) body["stop"] = JsonArray(request.stop.begin(), request.stop.end());
  STOA_CHECK(put_sampling(request, dialect, body));
  if (request.sampling.logprobs >= 0) {
    if (!chat) return cannot_express("Completions of another provider", "logprobs");
    body["logprobs"] = true;
    if (request.sampling.logprobs > 0) body["top_logprobs"] = request.sampling.logprobs;
  }
  if (request.constraint) STOA_CHECK(put_constraint(*request.constraint, dialect, body));
  if (chat && !request.reasoning_effort.empty()) body["reasoning_effort"] = request.reasoning_effort;
  body["stream"] = true;
  body["stream_options"] = JsonObject{{"include_usage", true}};
  return body;
}

// ---- Streams

class OpenAiDecoder final : public EventDecoder {
 protected:
  Status event(const infra::SseEvent& event, UpstreamAnswer& answer) override {
    if (event.data.starts_with("[DONE]")) return done(answer);
    JsonArena arena;
    STOA_TRY(chunk, upstream_event(event.data, arena));
    if (find(chunk, "error") != nullptr) return fail(stream_error(read_problem(chunk)));
    if (upstream_text(chunk, "object") == "error") return fail(stream_error(read_problem(chunk)));
    if (const JsonObject* usage = upstream_object(chunk, "usage")) count(*usage, answer);
    const Json* choices = find(chunk, "choices");
    if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return {};
    const Json& first = choices->get_array().front();
    if (!first.is_object()) return fail(ErrorCode::kUnavailable, "its stream holds a choice that is no object");
    STOA_TRY(text, choice(first.get_object(), answer));
    if (!text.empty() && find(chunk, "usage") == nullptr && choices->get_array().size() == 1) only_text(event.data, upstream_object(first.get_object(), "delta") != nullptr ? "content" : "text", text);
    return {};
  }

 private:
  struct OpenCall {
    int index;
    bool has_arguments;
  };

  static void count(const JsonObject& usage, UpstreamAnswer& answer) {
    const auto prompt = upstream_count(usage, "prompt_tokens"), completion = upstream_count(usage, "completion_tokens");
    if (prompt) answer.usage.prompt_tokens = *prompt;
    if (completion) answer.usage.completion_tokens = *completion;
    answer.prompt_counted = answer.prompt_counted || prompt.has_value();
    answer.completion_counted = answer.completion_counted || completion.has_value();
    if (const JsonObject* details = upstream_object(usage, "prompt_tokens_details")) answer.usage.cached_tokens = upstream_count(*details, "cached_tokens").value_or(0);
    if (const JsonObject* details = upstream_object(usage, "completion_tokens_details")) answer.usage.reasoning_tokens = upstream_count(*details, "reasoning_tokens").value_or(0);
    answer.usage.cached_tokens = std::min(answer.usage.cached_tokens, answer.usage.prompt_tokens);  // parts of the wholes
    answer.usage.reasoning_tokens = std::min(answer.usage.reasoning_tokens, answer.usage.completion_tokens);
  }

  // Gives the text, if it says nothing else.
  Result<std::string> choice(const JsonObject& choice, UpstreamAnswer& answer) {
    ChatDelta out;
    if (const JsonObject* delta = upstream_object(choice, "delta")) {
      out.text = upstream_text(*delta, "content");
      if (out.text.empty()) out.text = upstream_text(*delta, "refusal");
      out.reasoning = upstream_text(*delta, "reasoning_content");
      if (out.reasoning.empty()) out.reasoning = upstream_text(*delta, "reasoning");
      if (const Json* calls = find(*delta, "tool_calls"); calls != nullptr && calls->is_array()) STOA_CHECK(add_calls(calls->get_array(), out));
    } else {
      out.text = upstream_text(choice, "text");  // Completions
    }
    if (const JsonObject* logprobs = upstream_object(choice, "logprobs")) add_logprobs(*logprobs, out);
    if (!out.text.empty() || !out.reasoning.empty() || !out.tool_calls.empty() || !out.logprobs.empty()) answer.give(out);
    const std::string_view reason = upstream_text(choice, "finish_reason");
    if (!reason.empty()) STOA_CHECK(finish(reason, answer));
    if (!reason.empty() || !out.reasoning.empty() || !out.tool_calls.empty() || !out.logprobs.empty()) return std::string();
    return std::move(out.text);
  }

  Status add_calls(const JsonArray& calls, ChatDelta& out) {
    for (const Json& each : calls) {
      if (!each.is_object()) return fail(ErrorCode::kUnavailable, "its stream holds a call of a tool that is no object");
      const JsonObject& call = each.get_object();
      const JsonObject* function = upstream_object(call, "function");
      const std::string_view name = function == nullptr ? std::string_view() : upstream_text(*function, "name");
      // Servers that number nothing send whole calls, each with its name.
      const std::int64_t place = upstream_count(call, "index").value_or(static_cast<std::int64_t>(calls_.size()) - (name.empty() ? 1 : 0));
      auto open = calls_.find(place);
      ToolCallDelta piece;
      if (open == calls_.end()) {
        if (name.empty()) return fail(ErrorCode::kUnavailable, "its stream holds a call of a tool without the tool's name");
        if (calls_.size() >= kMaxUpstreamCalls) return fail(ErrorCode::kUnavailable, "its answer calls tools more than {} times", kMaxUpstreamCalls);
        open = calls_.emplace(place, OpenCall{static_cast<int>(calls_.size()), false}).first;
        const std::string_view id = upstream_text(call, "id");
        piece.id = id.empty() ? new_id("call") : std::string(id);
        piece.name = name;
      }
      piece.index = open->second.index;
      if (function != nullptr) piece.arguments = upstream_text(*function, "arguments");
      open->second.has_arguments = open->second.has_arguments || !piece.arguments.empty();
      if (!piece.name.empty() || !piece.arguments.empty()) out.tool_calls.push_back(std::move(piece));
    }
    return {};
  }

  static std::string token_text(const JsonObject& token) {
    const Json* bytes = find(token, "bytes");
    if (bytes == nullptr || !bytes->is_array()) return std::string(upstream_text(token, "token"));
    std::string text;
    for (const Json& byte : bytes->get_array())
      if (byte.is_int64()) text += static_cast<char>(byte.get_int64());
    return text;
  }
  static float logprob_of(const JsonObject& token) {
    const auto value = read_number(token, "logprob", -1e9, 1e9);
    return value && *value ? static_cast<float>(**value) : 0.0f;
  }
  static void add_logprobs(const JsonObject& logprobs, ChatDelta& out) {
    constexpr std::size_t kMostTop = 20;
    const Json* content = find(logprobs, "content");
    if (content == nullptr || !content->is_array()) return;
    for (const Json& each : content->get_array()) {
      if (!each.is_object()) continue;
      TokenLogprob token{.token = 0, .text = token_text(each.get_object()), .logprob = logprob_of(each.get_object()), .top = {}};
      const Json* top = find(each.get_object(), "top_logprobs");
      if (top != nullptr && top->is_array())
        for (const Json& other : top->get_array())
          if (other.is_object() && token.top.size() < kMostTop) token.top.emplace_back(token_text(other.get_object()), logprob_of(other.get_object()));
      out.logprobs.push_back(std::move(token));
    }
  }

  Status finish(std::string_view reason, UpstreamAnswer& answer) {
    ChatDelta empty;  // a call without arguments has an empty object of them
    for (auto& [place, call] : calls_)
      if (!std::exchange(call.has_arguments, true)) empty.tool_calls.push_back({.index = call.index, .id = {}, .name = {}, .arguments = "{}"});
    if (!empty.tool_calls.empty()) answer.give(empty);
    if (reason == "length")
      answer.finish = FinishReason::kLength;
    else if (reason == "content_filter")
      answer.finish = FinishReason::kContentFilter;
    else if (reason == "tool_calls" || reason == "function_call" || (reason == "stop" && !calls_.empty()))
      answer.finish = FinishReason::kToolCalls;
    else if (reason == "stop" || reason == "eos" || reason == "eos_token" || reason == "stop_sequence")
      answer.finish = FinishReason::kStop;
    else
      return fail(ErrorCode::kUnavailable, "its answer ended for the reason '{}', which is none that is known", reason.substr(0, 64));
    return {};
  }

  static Status done(UpstreamAnswer& answer) {
    if (!answer.finish) return fail(ErrorCode::kUnavailable, "its stream ended without a finish_reason");
    answer.complete = true;
    return {};
  }

  std::map<std::int64_t, OpenCall> calls_;
};

class OpenAiCodec : public ProviderCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string& credential, const ChatRequest& request) const override {
    STOA_TRY(body, body_of(target, request));
    HttpClientRequest out = start(target, credential, request.messages.empty() ? "/completions" : "/chat/completions");
    out.method = "POST";
    out.headers.add("Content-Type", "application/json");
    out.headers.add("Accept", "text/event-stream");
    out.body = dump_json(body);
    return out;
  }
  std::unique_ptr<AnswerDecoder> decoder(const ChatRequest&) const override { return std::make_unique<OpenAiDecoder>(); }
  std::optional<HttpClientRequest> model_list(const ProviderTarget& target, const std::string& credential) const override { return start(target, credential, "/models"); }
  std::optional<HttpClientRequest> moderation(const ProviderTarget& target, const std::string& credential, const Json& input) const override {
    if (!target.model.contains("moderation")) return std::nullopt;
    HttpClientRequest out = start(target, credential, "/moderations");
    out.method = "POST";
    out.headers.add("Content-Type", "application/json");
    out.body = dump_json(JsonObject{{"model", target.model}, {"input", input}});
    return out;
  }

 private:
  virtual HttpClientRequest start(const ProviderTarget& target, const std::string& credential, std::string_view path) const {
    HttpClientRequest out{.url = base_url(target) + std::string(path)};
    if (!credential.empty()) out.headers.add("Authorization", "Bearer " + credential);
    return out;
  }
};

// Deployments stand where OpenAI has models; the version of the API is in the query.
class AzureCodec final : public OpenAiCodec {
 public:
  Result<HttpClientRequest> encode(const ProviderTarget& target, const std::string& credential, const ChatRequest& request) const override {
    ProviderTarget strict = target;
    strict.options["server"] = "openai";
    return OpenAiCodec::encode(strict, credential, request);
  }
  std::optional<HttpClientRequest> moderation(const ProviderTarget&, const std::string&, const Json&) const override { return std::nullopt; }  // another service has them

 private:
  HttpClientRequest start(const ProviderTarget& target, const std::string& credential, std::string_view path) const override {
    const auto version = target.options.find("api_version");
    const std::string place = path == "/models" ? "/openai" : "/openai/deployments/" + infra::percent_encode(target.model);
    HttpClientRequest out{.url = fmt::format("{}{}{}?api-version={}", base_url(target), place, path,
                                             infra::percent_encode(version == target.options.end() ? std::string_view(kVersion) : version->second))};
    if (!credential.empty()) out.headers.add("api-key", credential);
    return out;
  }
  static constexpr std::string_view kVersion = "2024-10-21";
};

}  // namespace

Result<JsonObject> openai_body(const ProviderTarget& target, const ChatRequest& request) { return body_of(target, request); }
std::unique_ptr<AnswerDecoder> make_openai_decoder() { return std::make_unique<OpenAiDecoder>(); }
std::unique_ptr<ProviderCodec> make_openai_codec() { return std::make_unique<OpenAiCodec>(); }
std::unique_ptr<ProviderCodec> make_azure_codec() { return std::make_unique<AzureCodec>(); }

}  // namespace stoa::gateway
