#include "gateway/providers/provider.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "base/redact.h"
#include "gateway/providers/authorization.h"
#include "gateway/providers/codec.h"
#include "infra/config/yaml.h"
#include "infra/http/url.h"

namespace stoa::gateway {
namespace {

using std::chrono::duration_cast;

constexpr ProviderOption kOpenAiOptions[] = {{"server", "what it is, for what goes beyond OpenAI's own protocol", "openai|compatible|vllm|llama.cpp|stoa"}};
constexpr ProviderOption kAzureOptions[] = {{"api_version", "version of the API, such as 2024-10-21"}};
constexpr ProviderOption kAnthropicOptions[] = {{"max_tokens", "length of answers where the caller sets none"}, {"thinking_budget", "tokens that the model may think before it answers"}};
constexpr ProviderOption kBedrockOptions[] = {{"region", "region to sign for, where the URL does not tell"}, {"thinking_budget", "tokens that models of Anthropic may think before they answer"},
                                              {"effort", "whether its models are told how hard to think", "yes|no"}};
constexpr ProviderOption kVertexOptions[] = {{"thinking", "how models that think are told how much: by a budget (2.5), by a level (3 and later)", "budget|level"}};
constexpr ProviderOption kSageMakerOptions[] = {{"region", "region to sign for, where the URL does not tell"}, {"model", "what the container calls its model, if it asks"},
                                                {"server", "what runs in the container, for what goes beyond OpenAI's own protocol", "compatible|vllm|llama.cpp|stoa"}};
constexpr std::array kFamilies{
    ProviderFamily{"openai", "OpenAI and servers that speak its protocol: vLLM, llama.cpp, TGI, NIM, Ollama, another Stoa", "https://api.openai.com/v1", kOpenAiOptions},
    ProviderFamily{"azure", "Azure OpenAI; models are names of deployments", "https://NAME.openai.azure.com", kAzureOptions},
    ProviderFamily{"anthropic", "Anthropic, and servers that speak its Messages", "https://api.anthropic.com", kAnthropicOptions},
    ProviderFamily{"bedrock", "Amazon Bedrock, by its Converse API", "https://bedrock-runtime.REGION.amazonaws.com", kBedrockOptions},
    ProviderFamily{"vertex", "Google's models: Vertex AI and the Gemini API", "https://generativelanguage.googleapis.com/v1beta", kVertexOptions},
    ProviderFamily{"sagemaker", "SageMaker endpoints whose containers speak OpenAI's protocol; models are names of endpoints", "https://runtime.sagemaker.REGION.amazonaws.com", kSageMakerOptions},
};

constexpr std::size_t kImageBytes = 4 * 1600;    // of text that cost as much as a large image does at most places
constexpr std::size_t kMaxRefusal = 64u << 10;  // of a body that says why
constexpr std::size_t kMaxJudgement = 4u << 20;  // of moderations

std::int64_t estimated_tokens(std::int64_t bytes) { return bytes <= 0 ? 0 : (bytes + 3) / 4; }

std::int64_t prompt_bytes(const ChatRequest& request) {
  std::size_t bytes = request.messages.empty() ? request.prompt.size() + request.suffix.size() : 0;
  for (const ChatMessage& message : request.messages) {
    bytes += message.role.size() + message.content.size() + message.reasoning.size() + message.images.size() * kImageBytes;
    for (const ToolCall& call : message.tool_calls) bytes += call.name.size() + call.arguments.size();
  }
  if (request.tool_choice.mode != ToolChoice::Mode::kNone)
    for (const ToolDefinition& tool : request.tools) bytes += tool.name.size() + tool.description.size() + tool.parameters.size();
  return static_cast<std::int64_t>(bytes);
}

// What upstreams repeat of secrets is taken out.
Error without(Error error, const std::vector<std::string>& secrets) {
  for (std::string* text : {&error.message, &error.hint}) {
    for (const std::string& secret : secrets)
      if (!secret.empty())
        for (auto at = text->find(secret); at != std::string::npos; at = text->find(secret, at + 3)) text->replace(at, secret.size(), "***");
    *text = redact_secrets(std::move(*text));
  }
  return error;
}

// What goes wrong between here and there is the target's, but for what the caller or the configuration decides.
Error sending_problem(Error problem, int status) {
  if (problem.code == ErrorCode::kTooLarge || problem.code == ErrorCode::kInternal || (status != 0 && problem.code == ErrorCode::kInvalidArgument)) problem.code = ErrorCode::kUnavailable;
  return problem;
}

Result<std::string> credential_of(const ProviderTarget& target) {
  if (!target.credential) return std::string();
  return target.credential();
}

class ProviderGenerator final : public models::Generator {
 public:
  ProviderGenerator(ProviderTarget target, std::unique_ptr<ProviderCodec> codec, infra::HttpSender& sender)
      : target_(std::move(target)), codec_(std::move(codec)), sender_(sender), context_(fmt::format("provider {}", target_.provider)) {}

  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override {
    Span span = call.span("chat " + target_.model);
    span.set("gen_ai.provider.name", target_.provider);
    auto outcome = ask(call, request, sink);
    if (!outcome) span.fail(outcome.error().message);
    return outcome;
  }

  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override { return prompt_tokens(request); }
  int context_length() const override { return target_.context_length; }

 private:
  Result<ChatOutcome> ask(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) {
    if (call.cancel.cancelled()) return fail(ErrorCode::kCancelled, "cancelled before the provider was asked");
    STOA_TRY(credential, credential_of(target_));
    auto encoded = codec_->encode(target_, credential, request);
    if (!encoded) return fail(std::move(encoded).error().in(context_));
    STOA_CHECK(bound(*encoded, call));
    if (auto proven = authorize(target_, credential, sender_, *encoded); !proven) return fail(without(std::move(proven).error(), secrets_of(*encoded, credential)).in(context_));
    STOA_CHECK(bound(*encoded, call));  // a token may have taken some of the time
    const auto start = std::chrono::steady_clock::now();
    const auto micros = [&] { return duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count(); };
    std::int64_t first = 0;
    const models::DeltaSink timed = [&](const ChatDelta& delta) {
      if (first == 0) first = micros();
      return sink(delta);
    };
    UpstreamAnswer answer(timed);
    answer.at_most_one_call = !request.parallel_tool_calls;
    answer.keep_text = target_.counter != nullptr;
    auto finish = run(*encoded, credential, request, answer);
    if (!finish && answer.deltas == 0) return fail(std::move(finish).error());
    // What broke after its first piece was served, and is paid, as far as it went.
    ChatOutcome outcome{.finish = finish.value_or(FinishReason::kError), .usage = answer.usage, .stop = answer.stop, .own_prompt = true};
    if (!finish) outcome.failure = std::move(finish).error();
    if (!answer.prompt_counted) outcome.usage.prompt_tokens = prompt_tokens(request);
    if (!answer.completion_counted) outcome.usage.completion_tokens = answer_tokens(answer);
    outcome.usage.first_token_micros = first;
    outcome.usage.total_micros = micros();
    return outcome;
  }

  std::int64_t prompt_tokens(const ChatRequest& request) const {
    if (target_.counter != nullptr)
      if (const auto counted = target_.counter->count_prompt_tokens(request)) return *counted;
    return estimated_tokens(prompt_bytes(request));
  }

  std::int64_t answer_tokens(const UpstreamAnswer& answer) const {
    const auto counted = [&](const std::string& text) {
      ChatRequest plain;
      plain.prompt = text;
      return target_.counter->count_prompt_tokens(plain);
    };
    if (target_.counter != nullptr && !answer.text.empty())
      if (const auto all = counted(answer.text)) return *all - std::min(*all, counted("").value_or(0));  // less what begins every prompt
    return estimated_tokens(answer.bytes);
  }

  Status bound(infra::HttpClientRequest& request, const Call& call) const {
    request.timeouts = target_.timeouts;
    request.cancel = call.cancel;
    request.repeatable = true;  // asking twice changes nothing there, and a connection that was kept may be closed at any moment
    if (call.deadline.at == SteadyTime::max()) return {};
    const auto left = duration_cast<milliseconds>(call.deadline.at - std::chrono::steady_clock::now());
    if (left.count() <= 0) return fail(ErrorCode::kDeadlineExceeded, "{}: the time for the call has passed", context_);
    request.timeouts.total = std::min(request.timeouts.total, left);
    return {};
  }

  Result<FinishReason> run(const infra::HttpClientRequest& request, const std::string& credential, const ChatRequest& asked, UpstreamAnswer& answer) {
    const auto decoder = codec_->decoder(asked);
    int status = 0;
    infra::HttpHeaders headers;
    std::string refusal;
    Status read;
    const auto done = sender_.stream(request, {.on_head = [&](int code, const infra::HttpHeaders& head) -> Status {
                                                 status = code;
                                                 headers = head;
                                                 return {};
                                               },
                                               .on_data = [&](std::string_view bytes) {
                                                 if (status != 200) {
                                                   refusal += bytes.substr(0, kMaxRefusal - refusal.size());
                                                   return refusal.size() < kMaxRefusal;
                                                 }
                                                 if (!answer.complete) read = decoder->feed(bytes, answer);
                                                 return read.has_value() && !answer.stopped;
                                               }});
    const auto wrong = [&](Error problem) { return fail(without(std::move(problem), secrets_of(request, credential)).in(context_)); };
    if (done && status == 200 && read && !answer.stopped && !answer.complete) read = decoder->end(answer);
    if (answer.stopped) return FinishReason::kCancelled;
    if (answer.complete) return *answer.finish;
    if (!done && status == 200 && call_was_cancelled(request, done.error())) return FinishReason::kCancelled;
    if (!read) return wrong(std::move(read).error());
    if (!done) return wrong(sending_problem(done.error(), status));
    if (status != 200) return wrong(status_error(status, headers, refusal));
    return wrong(error(ErrorCode::kUnavailable, "its stream ended before the answer was complete"));
  }

  static bool call_was_cancelled(const infra::HttpClientRequest& request, const Error& problem) {
    return problem.code == ErrorCode::kCancelled && request.cancel.cancelled();
  }

  const ProviderTarget target_;
  const std::unique_ptr<ProviderCodec> codec_;
  infra::HttpSender& sender_;
  const std::string context_;
};

Status check_option(const ProviderFamily& family, const std::string& name, const std::string& value) {
  const auto own = std::ranges::find(family.options, name, &ProviderOption::name);
  const ProviderOption* const found = own != family.options.end() ? &*own : name == kTokenizer.name ? &kTokenizer : nullptr;
  const auto wrong = [](std::string text) { return fail(error(ErrorCode::kInvalidArgument, "{}", text).with_param("options")); };
  if (found == nullptr) {
    std::string names(kTokenizer.name);
    for (const ProviderOption& option : family.options) names += fmt::format(", {}", option.name);
    return wrong(fmt::format("the family {} has no option '{}'; it has {}", family.name, name.substr(0, 64), names));
  }
  if (value.empty() || value.size() > 128 || !std::ranges::all_of(value, [](unsigned char c) { return c > ' ' && c < 0x7f; }))
    return wrong(fmt::format("the option {} needs a value of at most 128 printable characters", name));
  if (found->choices.empty()) return {};
  for (std::string_view rest = found->choices; !rest.empty();) {
    const auto end = rest.find('|');
    if (rest.substr(0, end) == value) return {};
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return wrong(fmt::format("the option {} is one of {}, not '{}'", name, found->choices, value));
}

// Where families list their models, and what holds a name: "models/gemini-2.5-pro" is a path.
std::vector<std::string> model_ids(std::string_view body) {
  constexpr std::size_t kMost = 1000;
  constexpr std::pair<std::string_view, std::string_view> kLists[] = {{"data", "id"}, {"models", "name"}, {"publisherModels", "name"}, {"modelSummaries", "modelId"}};
  std::vector<std::string> ids;
  const auto json = parse_json(body, {.max_bytes = 4u << 20});
  if (!json || !json->is_object()) return ids;
  for (const auto& [key, name] : kLists) {
    const Json* list = find(json->get_object(), key);
    if (list == nullptr || !list->is_array() || !ids.empty()) continue;  // llama.cpp gives the same list twice
    for (const Json& item : list->get_array()) {
      std::string_view id = item.is_object() ? upstream_text(item.get_object(), name) : std::string_view();
      if (const auto path = id.rfind("models/"); path != std::string_view::npos && key != "data") id.remove_prefix(path + 7);
      if (!id.empty() && ids.size() < kMost) ids.emplace_back(id.substr(0, 256));
    }
  }
  std::ranges::sort(ids);
  return ids;
}

}  // namespace

std::span<const ProviderFamily> provider_families() { return kFamilies; }

Status check_provider(std::string_view family, std::string_view url, const std::map<std::string, std::string>& options) {
  const auto known = std::ranges::find(kFamilies, family, &ProviderFamily::name);
  if (known == kFamilies.end()) {
    std::vector<std::string_view> names;
    std::string all;
    for (const ProviderFamily& each : kFamilies) {
      names.push_back(each.name);
      all += fmt::format("{}{}", all.empty() ? "" : ", ", each.name);
    }
    const auto near = infra::nearest_name(family, names);
    return fail(error(ErrorCode::kInvalidArgument, "there is no family '{}' of providers; there are {}", family.substr(0, 64), all)
                    .with_hint(near.empty() ? "vLLM, llama.cpp, Ollama and the like speak openai" : fmt::format("did you mean '{}'?", near))
                    .with_param("family"));
  }
  const auto parsed = infra::parse_url(url);
  if (!parsed || (parsed->scheme != "https" && parsed->scheme != "http") || parsed->host.empty() || !parsed->query.empty() || !parsed->userinfo.empty() || url.size() > 1024)
    return fail(error(ErrorCode::kInvalidArgument, "the URL of a provider is one of http or https without query and password, such as {}", known->example).with_param("url"));
  for (const auto& [name, value] : options) STOA_CHECK(check_option(*known, name, value));
  return {};
}

Result<std::unique_ptr<models::Generator>> open_provider(ProviderTarget target, infra::HttpSender& sender) {
  STOA_CHECK(check_provider(target.family, target.url, target.options));
  if (target.model.empty()) return fail(error(ErrorCode::kInvalidArgument, "the provider {} has a model without a name", target.provider).with_param("models"));
  auto codec = make_codec(target.family);
  return std::make_unique<ProviderGenerator>(std::move(target), std::move(codec), sender);
}

bool moderates(const ProviderTarget& target) {
  const auto codec = make_codec(target.family);
  return codec != nullptr && codec->moderation(target, "", Json()).has_value();
}

Result<JsonArray> moderate(const ProviderTarget& target, infra::HttpSender& sender, const Call& call, const Json& input) {
  const std::string context = fmt::format("provider {}", target.provider);
  STOA_TRY(credential, credential_of(target));
  const auto codec = make_codec(target.family);
  auto asked = codec == nullptr ? std::nullopt : codec->moderation(target, credential, input);
  if (!asked) return fail(ErrorCode::kUnsupported, "{}: '{}' has no moderations", context, target.model);
  infra::HttpClientRequest& request = *asked;
  const auto wrong = [&](Error problem) { return fail(without(std::move(problem), secrets_of(request, credential)).in(context)); };
  request.cancel = call.cancel;
  request.repeatable = true;
  request.max_body = kMaxJudgement;
  request.timeouts = target.timeouts;
  if (call.deadline.at != SteadyTime::max())
    request.timeouts.total = std::clamp(duration_cast<milliseconds>(call.deadline.at - std::chrono::steady_clock::now()), milliseconds(1), request.timeouts.total);
  if (auto proven = authorize(target, credential, sender, request); !proven) return wrong(std::move(proven).error());
  auto reply = sender.send(request);
  if (!reply) return wrong(sending_problem(std::move(reply).error(), 0));
  if (reply->status != 200) return wrong(status_error(reply->status, reply->headers, std::string_view(reply->body).substr(0, kMaxRefusal)));
  const auto json = parse_json(reply->body, {.max_bytes = kMaxJudgement});
  const Json* results = json && json->is_object() ? find(json->get_object(), "results") : nullptr;
  if (results == nullptr || !results->is_array()) return wrong(error(ErrorCode::kUnavailable, "its answer has no results"));
  return results->get_array();
}

ProviderCheck check_target(const ProviderTarget& target, infra::HttpSender& sender, const CancelToken& cancel) {
  constexpr milliseconds kPatience{20'000};
  ProviderCheck check;
  const auto codec = make_codec(target.family);
  const auto credential = credential_of(target);
  if (!codec || !credential) {
    check.said = credential ? fmt::format("there is no family '{}'", target.family) : credential.error().message;
    return check;
  }
  auto asked = codec->model_list(target, *credential);
  if (!asked) {
    check.usable = true;
    check.said = "cannot be asked which models it has; 'stoa providers check NAME --model MODEL' asks one of them";
    return check;
  }
  infra::HttpClientRequest& request = *asked;
  request.timeouts = target.timeouts;
  request.timeouts.total = std::min(request.timeouts.total, kPatience);
  request.cancel = cancel;
  request.max_body = 4u << 20;
  const auto start = std::chrono::steady_clock::now();
  const Status proven = authorize(target, *credential, sender, request);
  const auto reply = proven ? sender.send(request) : Result<infra::HttpResponse>(fail(proven.error()));
  check.took = duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  if (reply && reply->status == 200) {
    check.usable = true;
    check.models = model_ids(reply->body);
    check.said = fmt::format("reached: {} model{}", check.models.size(), check.models.size() == 1 ? "" : "s");
    return check;
  }
  const Error problem = without(reply ? status_error(reply->status, reply->headers, std::string_view(reply->body).substr(0, kMaxRefusal)) : reply.error(), secrets_of(request, *credential));
  check.said = problem.message + (problem.hint.empty() ? "" : "; " + problem.hint);
  return check;
}

}  // namespace stoa::gateway
