#include "gateway/providers/codec.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/utf8.h"
#include "gateway/providers/anthropic_codec.h"
#include "gateway/providers/bedrock_codec.h"
#include "gateway/providers/openai_codec.h"
#include "gateway/providers/sagemaker_codec.h"
#include "gateway/providers/vertex_codec.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kMaxMessage = 300;
constexpr int kMaxRetryAfter = 3600;

// One line, cut at a character.
std::string readable(std::string_view text) {
  std::string out = to_valid_utf8(text.substr(0, 4 * kMaxMessage));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  if (out.size() > kMaxMessage) out.resize(complete_utf8_prefix(std::string_view(out).substr(0, kMaxMessage)));
  return out;
}

// Kinds of errors, by what their names contain: "rate_limit_error" and "rate_limit_exceeded" are one thing.
struct KnownKind {
  std::string_view part;
  ErrorCode code;
};
constexpr std::array kKinds{
    KnownKind{"context_length", ErrorCode::kTooLarge},     KnownKind{"exceed_context_size", ErrorCode::kTooLarge}, KnownKind{"too_large", ErrorCode::kTooLarge},
    KnownKind{"rate_limit", ErrorCode::kResourceExhausted}, KnownKind{"resource_exhausted", ErrorCode::kResourceExhausted},
    KnownKind{"throttling", ErrorCode::kResourceExhausted}, KnownKind{"servicequotaexceeded", ErrorCode::kResourceExhausted},
    KnownKind{"insufficient_quota", ErrorCode::kUnavailable}, KnownKind{"overloaded", ErrorCode::kUnavailable},
    KnownKind{"authentication", ErrorCode::kUnavailable},  KnownKind{"permission", ErrorCode::kUnavailable},
    KnownKind{"accessdenied", ErrorCode::kUnavailable},    KnownKind{"deadline_exceeded", ErrorCode::kDeadlineExceeded},
    KnownKind{"modeltimeout", ErrorCode::kDeadlineExceeded}, KnownKind{"modelinvocationtimeexceeded", ErrorCode::kDeadlineExceeded},
    KnownKind{"not_found", ErrorCode::kNotFound},          KnownKind{"resourcenotfound", ErrorCode::kNotFound},
    KnownKind{"invalid_request", ErrorCode::kInvalidArgument}, KnownKind{"invalid_argument", ErrorCode::kInvalidArgument},
    KnownKind{"validation", ErrorCode::kInvalidArgument},
};

std::optional<ErrorCode> code_of_kind(std::string_view kind) {
  std::string lower(kind);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  const auto found = std::ranges::find_if(kKinds, [&](const KnownKind& known) { return lower.contains(known.part); });
  return found == kKinds.end() ? std::nullopt : std::optional(found->code);
}

// Prompts that are too long have no kind of their own at some upstreams.
constexpr std::array<std::string_view, 3> kTooLong{"prompt is too long", "Input is too long", "input token count"};

ErrorCode code_of_status(int status, const UpstreamProblem& problem) {
  switch (status) {
    case 401: case 402: case 403: return ErrorCode::kUnavailable;
    case 404: return ErrorCode::kNotFound;
    case 408: case 504: return ErrorCode::kDeadlineExceeded;
    case 413: return ErrorCode::kTooLarge;
    case 424: return problem.status >= 400 && problem.status < 500 ? code_of_status(problem.status == 424 ? 400 : problem.status, problem) : ErrorCode::kUnavailable;  // AWS: of the model itself
    case 429: return ErrorCode::kResourceExhausted;
    default: break;
  }
  if (status < 400 || status >= 500) return ErrorCode::kUnavailable;
  if (std::ranges::any_of(kTooLong, [&](std::string_view words) { return problem.message.contains(words); })) return ErrorCode::kTooLarge;
  const auto code = code_of_kind(problem.kind);
  return code == ErrorCode::kTooLarge || code == ErrorCode::kResourceExhausted ? *code : ErrorCode::kInvalidArgument;
}

// Google answers 400 to a key that it does not know, AWS names exceptions in a header.
bool refuses_credential(int status, const UpstreamProblem& problem) { return status == 401 || status == 403 || (status == 400 && problem.message.starts_with("API key not valid")); }

std::string_view hint_of(int status) {
  switch (status) {
    case 401: case 403: return "an administrator sets the provider's credential with 'stoa providers set-key'";
    case 402: return "the account at the provider has no money left";
    case 404: return "'stoa providers check' says which models the provider has, and whether its URL is right";
    default: return "";
  }
}

int retry_after_of(const infra::HttpHeaders& headers) {
  const auto number = [&](std::string_view name) {
    const std::string_view text = headers.get(name);
    double value = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    return code == std::errc() && end == text.data() + text.size() && value > 0 ? std::min(value, 1000.0 * kMaxRetryAfter) : 0.0;
  };
  const double seconds = headers.has("retry-after-ms") ? number("retry-after-ms") / 1000 : number("retry-after");
  return seconds <= 0 ? 0 : std::clamp(static_cast<int>(seconds + 0.999), 1, kMaxRetryAfter);
}

}  // namespace

void UpstreamAnswer::give(const ChatDelta& whole) {
  if (stopped) return;
  ChatDelta one_call;
  const bool cut = at_most_one_call && std::ranges::any_of(whole.tool_calls, [](const ToolCallDelta& call) { return call.index > 0; });
  if (cut) {
    one_call = whole;
    std::erase_if(one_call.tool_calls, [](const ToolCallDelta& call) { return call.index > 0; });
    if (one_call.text.empty() && one_call.reasoning.empty() && one_call.tool_calls.empty()) return;
  }
  const ChatDelta& delta = cut ? one_call : whole;
  ++deltas;
  bytes += static_cast<std::int64_t>(delta.text.size() + delta.reasoning.size());
  for (const ToolCallDelta& call : delta.tool_calls) bytes += static_cast<std::int64_t>(call.name.size() + call.arguments.size());
  if (keep_text) {
    text += delta.reasoning;
    text += delta.text;
    for (const ToolCallDelta& call : delta.tool_calls) (text += call.name) += call.arguments;
  }
  stopped = !sink(delta);
}

std::unique_ptr<ProviderCodec> make_codec(std::string_view family) {
  if (family == "openai") return make_openai_codec();
  if (family == "azure") return make_azure_codec();
  if (family == "anthropic") return make_anthropic_codec();
  if (family == "bedrock") return make_bedrock_codec();
  if (family == "vertex") return make_vertex_codec();
  if (family == "sagemaker") return make_sagemaker_codec();
  return nullptr;
}

EventDecoder::EventDecoder()
    : parser_([this](const infra::SseEvent& next) {
        if (!answer_->complete) status_ = take(next, *answer_);
        return status_.has_value() && !answer_->stopped;
      }, kMaxEvent) {}

Status EventDecoder::take(const infra::SseEvent& next, UpstreamAnswer& answer) {
  auto text = alike_.text_of(next.data);
  if (!text) return event(next, answer);
  if (!text->empty()) answer.give({.text = *std::move(text), .logprobs = {}});
  return {};
}

Status EventDecoder::feed(std::string_view bytes, UpstreamAnswer& answer) {
  answer_ = &answer;
  if (const Status fed = parser_.feed(bytes); !fed) return fail(ErrorCode::kUnavailable, "an event of its stream has more than {} bytes", kMaxEvent);
  return status_;
}

std::string_view upstream_text(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

const JsonObject* upstream_object(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  return value != nullptr && value->is_object() ? &value->get_object() : nullptr;
}

std::optional<std::int64_t> upstream_count(const JsonObject& object, std::string_view key) {
  constexpr std::int64_t kMost = 1'000'000'000'000;
  const auto value = read_int(object, key, 0, kMost);
  return value ? *value : std::nullopt;
}

Result<JsonObject> upstream_event(std::string_view data, JsonArena& arena) {
  auto value = parse_json(data, arena, {.max_bytes = EventDecoder::kMaxEvent});
  if (!value || !value->is_object()) return fail(ErrorCode::kUnavailable, "its stream holds an event that is no JSON object: '{}'", readable(data.substr(0, 80)));
  return std::move(value->get_object());
}

UpstreamProblem read_problem(const JsonObject& object) {
  const Json* value = find(object, "error");
  if (value != nullptr && value->is_string()) return {std::string(upstream_text(object, "error_type").substr(0, 64)), readable(value->get_string())};
  const JsonObject& inner = value != nullptr && value->is_object() ? value->get_object() : object;
  UpstreamProblem problem;
  for (const std::string_view key : {"code", "type", "status"})  // a code is more exact than a type, where it is a word
    if (const auto text = upstream_text(inner, key); problem.kind.empty() && text != "error") problem.kind = readable(text.substr(0, 64));
  for (const std::string_view key : {"message", "Message", "detail"})
    if (problem.message.empty()) problem.message = readable(upstream_text(inner, key));
  for (const std::string_view key : {"OriginalStatusCode", "originalStatusCode"})
    if (const auto status = upstream_count(inner, key); status && *status < 600) problem.status = static_cast<int>(*status);
  return problem;
}

Error stream_error(const UpstreamProblem& problem) {
  return error(code_of_kind(problem.kind).value_or(ErrorCode::kUnavailable), "the stream ended with an error{}{}", problem.kind.empty() ? "" : " " + problem.kind,
               problem.message.empty() ? "" : ": " + problem.message);
}

Error status_error(int status, const infra::HttpHeaders& headers, std::string_view body) {
  UpstreamProblem problem;
  const auto json = parse_json(body);
  const Json* first = json && json->is_array() && !json->get_array().empty() ? &json->get_array().front() : json ? &*json : nullptr;  // Google sends lists
  if (first != nullptr && first->is_object())
    problem = read_problem(first->get_object());
  else
    problem.message = readable(body);
  if (const auto name = headers.get("x-amzn-errortype"); problem.kind.empty() && !name.empty()) problem.kind = readable(name.substr(0, std::min<std::size_t>(name.find(':'), 64)));
  const bool refused = refuses_credential(status, problem);
  if (refused) problem.message.clear();  // upstreams repeat parts of the credential here
  return error(refused ? ErrorCode::kUnavailable : code_of_status(status, problem), "answered {}{}{}", status, problem.kind.empty() ? "" : " " + problem.kind,
               refused ? ": it refused the credential" : problem.message.empty() ? "" : ": " + problem.message)
      .with_hint(std::string(hint_of(refused ? 401 : status)))
      .with_retry_after(retry_after_of(headers));
}

void Turns::add(std::string_view role, JsonObject block) {
  if (turns_.empty() || upstream_text(turns_.back().get_object(), "role") != role) turns_.push_back(JsonObject{{"role", role}, {blocks_, JsonArray()}});
  turns_.back().get_object()[blocks_].get_array().push_back(std::move(block));
}

bool offers_tools(const ChatRequest& request) { return !request.tools.empty() && request.tool_choice.mode != ToolChoice::Mode::kNone; }

Status refuse_lacking(std::string_view family, std::span<const std::string_view> lacks, const ChatRequest& request) {
  const SamplingOptions& sampling = request.sampling;
  const std::pair<std::string_view, bool> asked[] = {
      {"prompt", request.messages.empty()},
      {"top_k", sampling.top_k > 0},
      {"min_p", sampling.min_p > 0},
      {"repetition_penalty", sampling.repetition_penalty != 1},
      {"presence_penalty", sampling.presence_penalty != 0},
      {"frequency_penalty", sampling.frequency_penalty != 0},
      {"seed", sampling.seed.has_value()},
      {"logit_bias", !sampling.logit_bias.empty()},
      {"logprobs", sampling.logprobs >= 0},
      {"ignore_eos", request.ignore_eos},
  };
  for (const auto& [field, wanted] : asked)
    if (wanted && std::ranges::find(lacks, field) != lacks.end()) return cannot_express(family, field);
  return {};
}

int number_option(const ProviderTarget& target, std::string_view name, int fallback) {
  const auto found = target.options.find(std::string(name));
  int value = 0;
  if (found == target.options.end()) return fallback;
  const auto [end, code] = std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  return code == std::errc() && end == found->second.data() + found->second.size() && value > 0 ? value : fallback;
}

int thinking_budget(const ProviderTarget& target, const ChatRequest& request) {
  constexpr int kLeast = 1024;  // that Anthropic takes
  const std::string& effort = request.reasoning_effort;
  const int budget = number_option(target, "thinking_budget", 0);
  if (budget == 0 || effort == "none" || effort == "minimal") return 0;
  return effort == "low" || effort == "medium" ? std::min(budget, std::max(kLeast, budget / (effort == "low" ? 4 : 2))) : budget;
}

Status each_part(const ChatMessage& message, const std::function<void(std::string_view)>& text, const std::function<Status(const ChatImage&)>& image) {
  const std::string_view content = message.content;
  std::size_t at = 0;
  const auto until = [&](std::size_t end) {
    end = std::clamp(end, at, content.size());
    if (end > at) text(content.substr(at, end - at));
    at = end;
  };
  for (const ChatImage& each : message.images) {
    until(each.at);
    STOA_CHECK(image(each));
  }
  until(content.size());
  return {};
}

std::unexpected<Error> cannot_express(std::string_view family, std::string_view field) {
  return fail(error(ErrorCode::kUnsupported, "'{}' cannot be expressed in the protocol of {}", field, family)
                  .with_hint("leave it out, or name a model that is served by another provider")
                  .with_param(std::string(field)));
}

std::string base_url(const ProviderTarget& target) {
  std::string url = target.url;
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Result<Json> parse_part(std::string_view json, std::string_view param) {
  auto value = parse_json(json);
  if (!value) return fail(std::move(value).error().in(param).with_param(std::string(param)));
  return value;
}

}  // namespace stoa::gateway
