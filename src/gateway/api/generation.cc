#include "gateway/api/generation.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <ranges>
#include <span>
#include <thread>

namespace stoa::gateway {
namespace {

constexpr std::size_t kParallel = 8;  // as many as the engine has slots by default; the rest of the alternatives follows
// Tokens of all alternatives of an answer together, where one with log-probabilities counts as several.
constexpr std::int64_t kMostTokens = 4 << 20, kLogprobTokens = 4;
// For reservations only; the settlement is measured. Slow hardware, so that a budget is held rather than overrun.
constexpr std::int64_t kMicrosPerPromptToken = 1'000, kMicrosPerToken = 20'000;
constexpr std::int64_t kUnlimitedEstimate = 1024;  // tokens set aside when the caller names no limit

void add_usage(Usage& sum, const Usage& usage, bool count_prompt) {
  if (count_prompt) {
    sum.prompt_tokens += usage.prompt_tokens;
    sum.cached_tokens += usage.cached_tokens;
  }
  sum.completion_tokens += usage.completion_tokens;
  sum.reasoning_tokens += usage.reasoning_tokens;
  sum.compute_micros += usage.compute_micros;
  sum.queue_micros = std::max(sum.queue_micros, usage.queue_micros);
  sum.first_token_micros = sum.first_token_micros == 0 ? usage.first_token_micros : std::min(sum.first_token_micros, usage.first_token_micros);
  sum.total_micros = std::max(sum.total_micros, usage.total_micros);
}

void append_calls(std::vector<ToolCall>& calls, const std::vector<ToolCallDelta>& deltas) {
  for (const ToolCallDelta& delta : deltas) {
    if (!delta.id.empty()) calls.push_back({delta.id, delta.name, {}});
    if (!calls.empty()) calls.back().arguments += delta.arguments;
  }
}

// What the threads of one generation share.
class Run {
 public:
  Run(const Call& call, models::Generator& generator, const Generation& generation, const GenerationSink& sink)
      : call_(call), generator_(generator), generation_(generation), sink_(sink) {}

  void work() {
    for (std::size_t i = next_++; i < generation_.requests.size() && !stopped_; i = next_++) one(i);
  }

  Result<GenerationOutcome> result() && {
    if (outcome_.charges.empty()) return fail(error_ ? std::move(*error_) : error(ErrorCode::kInternal, "nothing was generated"));
    outcome_.failure = std::move(error_);
    if (hits_ > 0 && hits_ == answers_) outcome_.cache = std::move(hit_);
    return std::move(outcome_);
  }

 private:
  void one(std::size_t i) {
    const int index = static_cast<int>(i);
    ChatRequest lowered;
    if (call_.batch) {
      lowered = generation_.requests[i];
      lowered.priority = kBatchPriority;
    }
    auto outcome = generator_.generate(call_, call_.batch ? lowered : generation_.requests[i], [&](const ChatDelta& delta) {
      std::lock_guard lock(mutex_);
      if (!stopped_ && !sink_.delta(index, delta)) stopped_ = true;
      return !stopped_;
    });
    std::lock_guard lock(mutex_);
    if (outcome) book(*outcome, i % static_cast<std::size_t>(generation_.choices) == 0);
    if (outcome && outcome->finish == FinishReason::kError)
      outcome = fail(outcome->failure ? std::move(*outcome->failure) : error(ErrorCode::kInternal, "the model failed while generating"));
    if (!outcome) {
      if (!error_ && !stopped_) error_ = outcome.error();
      stopped_ = true;
      return;
    }
    if (!stopped_ && !sink_.done(index, *outcome)) stopped_ = true;
  }

  // What comes from a cache and what does not are not priced alike: a hit among alternatives that were generated counts as one of these.
  void book(const ChatOutcome& outcome, bool first_of_prompt) {
    ++answers_;
    if (outcome.cache) {
      ++hits_;
      hit_ = outcome.cache;
    }
    add(outcome.target, "alternative", outcome.usage, first_of_prompt || outcome.own_prompt);
    for (const ChatCharge& charge : outcome.also) add(charge.target, charge.what, charge.usage, true);
  }
  void add(const std::string& target, std::string_view what, const Usage& usage, bool count_prompt) {
    auto& charges = outcome_.charges;
    auto same = std::ranges::find_if(charges, [&](const ChatCharge& known) { return known.target == target && (known.what == what || known.what.empty()); });
    // The first that is no help to another is the one that the request is booked on.
    if (same == charges.end()) same = charges.insert(charges.end(), {target, charges.empty() ? "" : std::string(what), {}});
    add_usage(same->usage, usage, count_prompt);
    add_usage(outcome_.usage, usage, count_prompt);
  }

  const Call& call_;
  models::Generator& generator_;
  const Generation& generation_;
  const GenerationSink& sink_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> stopped_ = false;
  std::mutex mutex_;
  GenerationOutcome outcome_;
  std::optional<CacheHit> hit_;
  std::size_t answers_ = 0, hits_ = 0;
  std::optional<Error> error_;
};

}  // namespace

void add_choices(Generation& generation, const ChatRequest& request, int choices) {
  generation.choices = choices;
  for (int i = 0; i < choices; ++i) {
    ChatRequest choice = request;
    if (choice.sampling.seed) *choice.sampling.seed += static_cast<std::uint64_t>(i);
    generation.requests.push_back(std::move(choice));
  }
}

namespace {

// Alternatives are kept until the last is complete.
Status check_size(const Generation& generation, int context) {
  const ChatRequest& request = generation.requests.front();
  const auto alternatives = static_cast<std::int64_t>(generation.requests.size());
  const std::int64_t tokens = request.max_tokens > 0 ? std::min(request.max_tokens, context) : context;
  const std::int64_t weight = request.sampling.logprobs >= 0 ? kLogprobTokens * (1 + request.sampling.logprobs) : 1;
  if (alternatives == 1 || alternatives * tokens * weight <= kMostTokens) return {};
  return fail(error(ErrorCode::kInvalidArgument, "{} alternatives of up to {} tokens{} are more than one answer may have", alternatives, tokens,
                    weight > 1 ? " with log-probabilities" : "")
                  .with_param("n")
                  .with_hint("Ask for fewer alternatives, or limit their tokens."));
}

}  // namespace

Error context_overflow(Error engine_error, std::string_view param) {
  if (engine_error.code == ErrorCode::kTooLarge) engine_error.param = param;
  return engine_error;
}

bool is_context_overflow(const Error& error) {
  return error.code == ErrorCode::kTooLarge && (error.param == "messages" || error.param == "prompt" || error.param == "input" || error.param == "query");
}

Status allow_priority(RequestScope& scope, const ChatRequest& request) {
  if (request.priority <= 0) return {};
  auto allowed = scope.allow(governance::Action::kModelPriority, governance::Resource::of(scope.principal(), "model", request.model));
  return allowed ? Status{} : std::unexpected(std::move(allowed).error().with_param("service_tier"));
}

Result<std::int64_t> reserve_generation(RequestScope& scope, models::Generator& generator, const Generation& generation, std::string_view kind,
                                        std::string_view param) {
  STOA_CHECK(allow_priority(scope, generation.requests.front()));
  STOA_CHECK(check_size(generation, generator.context_length()));
  Usage estimate;
  for (std::size_t i = 0; i < generation.requests.size(); ++i) {
    const ChatRequest& request = generation.requests[i];
    if (i % static_cast<std::size_t>(generation.choices) == 0) {
      auto tokens = generator.count_prompt_tokens(request);
      if (!tokens) return fail(context_overflow(std::move(tokens).error(), param));
      if (*tokens >= generator.context_length()) {
        return fail(context_overflow(error(ErrorCode::kTooLarge, "the prompt has {} tokens, and the context of '{}' holds {}, answer included", *tokens,
                                           request.model, generator.context_length()), param));
      }
      estimate.prompt_tokens += *tokens;
    }
    estimate.completion_tokens += request.max_tokens > 0 ? std::min<std::int64_t>(request.max_tokens, generator.context_length()) : kUnlimitedEstimate;
  }
  estimate.compute_micros = estimate.prompt_tokens * kMicrosPerPromptToken + estimate.completion_tokens * kMicrosPerToken;
  STOA_CHECK(scope.reserve(kind, generation.requests.front().model, estimate, generator.targets()));
  return estimate.prompt_tokens;
}

Result<GenerationOutcome> run_generation(const Call& call, models::Generator& generator, const Generation& generation,
                                         const GenerationSink& sink, std::string_view param) {
  Span span = call.span("generate " + generation.requests.front().model);
  Run run(call, generator, generation, sink);
  {
    std::vector<std::jthread> helpers;
    const std::size_t threads = std::min(kParallel, generation.requests.size());
    for (std::size_t i = 1; i < threads; ++i) helpers.emplace_back([&run] { run.work(); });
    run.work();
  }
  auto outcome = std::move(run).result();
  if (!outcome) {
    span.fail(outcome.error().message);
    return fail(context_overflow(std::move(outcome).error(), param));
  }
  const Usage& usage = outcome->usage;
  span.set("gen_ai.request.model", generation.requests.front().model);
  span.set("gen_ai.usage.input_tokens", usage.prompt_tokens);
  span.set("gen_ai.usage.output_tokens", usage.completion_tokens);
  span.set("stoa.queue_micros", usage.queue_micros);
  span.set("stoa.first_token_micros", usage.first_token_micros);
  span.set("stoa.compute_micros", usage.compute_micros);
  if (outcome->failure) {
    span.fail(outcome->failure->message);
    outcome->failure = context_overflow(std::move(*outcome->failure), param);
  }
  return outcome;
}

UsageReport report_usage(const RequestScope& scope, const Usage& usage) {
  return {.usage = usage, .cache = {}, .request_id = scope.call().request_id, .trace_id = scope.trace().id(), .cost_micro_usd = scope.cost()};
}

JsonObject stoa_json(const UsageReport& report) {
  const Usage& usage = report.usage;
  const std::int64_t decode_micros = usage.total_micros - usage.first_token_micros;
  const bool measurable = usage.completion_tokens > 1 && decode_micros > 0;
  JsonObject out;
  out["request_id"] = report.request_id;
  out["trace_id"] = report.trace_id;
  out["cost_micro_usd"] = report.cost_micro_usd;
  out["time_to_first_token_ms"] = static_cast<double>(usage.first_token_micros) / 1e3;
  out["tokens_per_second"] = measurable ? static_cast<double>(usage.completion_tokens - 1) * 1e6 / static_cast<double>(decode_micros) : 0.0;
  out["queue_ms"] = static_cast<double>(usage.queue_micros) / 1e3;
  if (report.cache) out["cache"] = JsonObject{{"kind", report.cache->kind}, {"source", report.cache->source}, {"similarity", report.cache->similarity}};
  return out;
}

Result<UsageReport> settle_generation(RequestScope& scope, const GenerationOutcome& outcome) {
  const ChatCharge& first = outcome.charges.front();
  for (const ChatCharge& charge : std::span(outcome.charges).subspan(1)) STOA_CHECK(scope.charge(charge));
  STOA_CHECK(scope.settle(first.usage, first.target, outcome.cache ? &*outcome.cache : nullptr));
  if (outcome.failure) return fail(*outcome.failure);
  UsageReport report = report_usage(scope, outcome.usage);
  report.cache = outcome.cache;
  return report;
}

Result<UsageReport> run_settled(RequestScope& scope, models::Generator& generator, const Generation& generation, const GenerationSink& sink,
                                std::string_view param) {
  STOA_TRY(outcome, run_generation(scope.call(), generator, generation, sink, param));
  STOA_TRY(report, settle_generation(scope, outcome));
  if (scope.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "the client went away");
  return report;
}

std::string question_of(const Generation& generation) {
  const ChatRequest& request = generation.requests.front();
  for (const ChatMessage& message : std::views::reverse(request.messages))
    if (message.role == "user") return message.content;
  return request.prompt;
}

void Choice::add(const ChatDelta& delta) {
  text += delta.text;
  reasoning += delta.reasoning;
  append_calls(tool_calls, delta.tool_calls);
  logprobs.insert(logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
}

Result<CollectedAnswer> collect_answer(RequestScope& scope, models::Generator& generator, Generation& generation, std::string_view param) {
  for (ChatRequest& request : generation.requests) request.whole = true;
  std::vector<Choice> choices(generation.requests.size());
  const GenerationSink sink{
      .delta = [&](int index, const ChatDelta& delta) {
        choices[static_cast<std::size_t>(index)].add(delta);
        return !scope.call().cancel.cancelled();
      },
      .done = [&](int index, const ChatOutcome& outcome) {
        choices[static_cast<std::size_t>(index)].finish = outcome.finish;
        choices[static_cast<std::size_t>(index)].stop = outcome.stop;
        return true;
      }};
  STOA_TRY(usage, run_settled(scope, generator, generation, sink, param));
  scope.set_content(question_of(generation), choices.front().text);
  return CollectedAnswer{std::move(choices), std::move(usage)};
}

}  // namespace stoa::gateway
