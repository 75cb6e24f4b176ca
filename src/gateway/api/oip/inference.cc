#include "gateway/api/oip/inference.h"

#include <chrono>
#include <cmath>
#include <numeric>

#include "base/error_table.h"
#include "base/id.h"
#include "base/utf8.h"
#include "gateway/api/early_error.h"
#include "gateway/api/fields.h"
#include "gateway/api/generation.h"
#include "gateway/api/oip/tensors.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/sse_stream.h"

namespace stoa::gateway::oip {
namespace {

using governance::Action;
using Reply = Result<std::optional<infra::HttpResponse>>;

constexpr std::string_view kText = "text", kEmbedding = "embedding", kInput = "text_input", kAnswer = "text_output", kQuery = "query", kDocuments = "documents", kScores = "scores";
constexpr std::string_view kPrompt = "prompt";  // what tells a prompt that does not fit from other errors of its kind
constexpr std::int64_t kMicrosPerToken = 1'000;  // for reservations; the settlement is measured
constexpr std::size_t kMaxPrompts = 16, kAtOnce = 32;

Reply ok_json(const JsonObject& body) { return infra::HttpResponse::json(200, dump_json(body)); }

// Models here have one version.
Result<openai::ServedModel> model_of(const Dependencies& d, const RequestScope& scope) {
  const std::string_view name = scope.request().path_param("name");
  const auto version = infra::find_value(scope.request().path_params, "version");
  if (version && *version != "1") return fail(error(ErrorCode::kNotFound, "the model '{}' has no version '{}', only '1'", name.substr(0, 200), version->substr(0, 40)));
  STOA_TRY(model, d.models.find(name, scope.principal().project));
  if (model.generator != nullptr) {
    STOA_TRY(generator, d.models.generator(name, scope));  // with the project's cache before it
    model.generator = std::move(generator);
  }
  return std::move(model);
}

JsonObject tensor_json(std::string_view name, std::string_view datatype, JsonArray shape) { return {{"name", name}, {"datatype", datatype}, {"shape", std::move(shape)}}; }

Reply server_metadata(const Dependencies& d, RequestScope&) { return ok_json({{"name", "stoa"}, {"version", d.version}, {"extensions", JsonArray()}}); }

Reply model_metadata(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(model, model_of(d, scope));
  JsonArray inputs, outputs;
  if (model.embedder != nullptr) {
    inputs.push_back(tensor_json(kText, "BYTES", {-1}));
    outputs.push_back(tensor_json(kEmbedding, "FP32", {-1, model.embedder->dimensions()}));
  } else if (model.reranker != nullptr) {
    inputs.push_back(tensor_json(kQuery, "BYTES", {1}));
    inputs.push_back(tensor_json(kDocuments, "BYTES", {-1}));
    outputs.push_back(tensor_json(kScores, "FP32", {-1}));
  } else {
    inputs.push_back(tensor_json(kInput, "BYTES", {-1}));
    outputs.push_back(tensor_json(kAnswer, "BYTES", {-1}));
  }
  return ok_json({{"name", model.id}, {"versions", JsonArray{"1"}}, {"platform", "stoa"}, {"inputs", std::move(inputs)}, {"outputs", std::move(outputs)}});
}

Reply model_ready(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(model, model_of(d, scope));
  return ok_json({{"name", model.id}, {"ready", true}});
}

std::int64_t micros_since(SteadyTime start) { return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count(); }

Usage estimate_of(std::span<const std::string> texts) {
  Usage usage;
  for (const std::string& text : texts) usage.prompt_tokens += static_cast<std::int64_t>(text.size()) / 4 + 2;
  usage.compute_micros = usage.prompt_tokens * kMicrosPerToken;
  return usage;
}

Result<JsonObject> embed(RequestScope& scope, const openai::ServedModel& model, const InferCall& call) {
  STOA_TRY(input, text_input(call, kText));
  const std::span<const std::string> texts(input->values);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    STOA_TRY(tokens, model.embedder->count_tokens(texts[i]));
    if (tokens > model.embedder->max_tokens())
      return fail(error(ErrorCode::kInvalidArgument, "text {} has {} tokens; '{}' takes {}", i, tokens, model.id, model.embedder->max_tokens()).with_param("inputs").with_hint("split the text"));
  }
  STOA_CHECK(scope.reserve("embedding", model.id, estimate_of(texts)));
  const auto start = std::chrono::steady_clock::now();
  Usage usage;
  std::vector<float> values;
  for (std::size_t i = 0; i < texts.size(); i += kAtOnce) {
    if (scope.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "the client went away");
    STOA_TRY(embedded, model.embedder->embed(scope.call(), texts.subspan(i, std::min(kAtOnce, texts.size() - i))));
    values.insert(values.end(), embedded.values.begin(), embedded.values.end());
    usage.prompt_tokens += std::reduce(embedded.tokens.begin(), embedded.tokens.end(), std::int64_t{0});
    usage.compute_micros += embedded.compute_micros;
  }
  usage.total_micros = micros_since(start);
  STOA_CHECK(scope.settle(usage));
  return float_output(kEmbedding, {static_cast<std::int64_t>(texts.size()), model.embedder->dimensions()}, values);
}

Result<JsonObject> score(RequestScope& scope, const openai::ServedModel& model, const InferCall& call) {
  STOA_TRY(query, text_input(call, kQuery));
  STOA_TRY(documents, text_input(call, kDocuments));
  if (query->values.size() != 1) return fail(error(ErrorCode::kInvalidArgument, "the input 'query' has to have the shape [1]").with_param("inputs"));
  STOA_CHECK(scope.reserve("rerank", model.id, estimate_of(documents->values)));
  const auto start = std::chrono::steady_clock::now();
  STOA_TRY(ranked, model.reranker->rerank(scope.call(), query->values.front(), documents->values));
  Usage usage;
  usage.prompt_tokens = std::reduce(ranked.tokens.begin(), ranked.tokens.end(), std::int64_t{0});
  usage.compute_micros = ranked.compute_micros;
  usage.total_micros = micros_since(start);
  STOA_CHECK(scope.settle(usage));
  std::vector<float> scores;
  for (const float logit : ranked.scores) scores.push_back(static_cast<float>(data::relevance(logit)));
  return float_output(kScores, {static_cast<std::int64_t>(scores.size())}, scores);
}

Result<CollectedAnswer> answer(const Dependencies& d, RequestScope& scope, const openai::ServedModel& model, Generation& generation) {
  STOA_CHECK(reserve_generation(scope, *model.generator, generation, "completion", kPrompt));
  scope.set_answer_id(new_id("cmpl"));
  openai::note_model(scope, d.models, generation.requests.front());
  return collect_answer(scope, *model.generator, generation, kPrompt);
}

Result<JsonObject> complete(const Dependencies& d, RequestScope& scope, const openai::ServedModel& model, const InferCall& call) {
  STOA_TRY(prompts, text_input(call, kInput));
  if (prompts->values.size() > kMaxPrompts) return fail(error(ErrorCode::kInvalidArgument, "at most {} prompts at a time", kMaxPrompts).with_param("inputs"));
  ChatRequest request;
  request.model = model.id;
  STOA_CHECK(read_sampling(call.parameters, request));
  Generation generation;
  for (const std::string& prompt : prompts->values) {
    if (prompt.empty()) return fail(error(ErrorCode::kInvalidArgument, "a prompt is not empty").with_param("inputs"));
    request.prompt = prompt;
    add_choices(generation, request, 1);
  }
  STOA_TRY(answers, answer(d, scope, model, generation));
  std::vector<std::string> texts;
  for (const Choice& choice : answers.choices) texts.push_back(choice.text);
  return text_output(kAnswer, texts);
}

Reply infer(const Dependencies& d, RequestScope& scope) {
  if (scope.request().headers.has("inference-header-content-length")) return fail(error(ErrorCode::kUnsupported, "binary tensors are not served: send the data as JSON"));
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_infer(body));
  STOA_TRY(model, model_of(d, scope));
  const std::string_view made = model.embedder != nullptr ? kEmbedding : model.reranker != nullptr ? kScores : kAnswer;
  for (const std::string& wanted : call.outputs)
    if (wanted != made) return fail(error(ErrorCode::kInvalidArgument, "the model '{}' has no output '{}', only '{}'", model.id, wanted.substr(0, 80), made).with_param("outputs"));
  STOA_TRY(output, model.embedder != nullptr ? embed(scope, model, call) : model.reranker != nullptr ? score(scope, model, call) : complete(d, scope, model, call));
  return ok_json(infer_json(model.id, call, {std::move(output)}));
}

std::string_view reason_of(FinishReason finish) { return finish == FinishReason::kLength ? "length" : finish == FinishReason::kContentFilter ? "content_filter" : "stop"; }

JsonObject generated_json(const openai::ServedModel& model, const GenerateCall& call, std::string_view text, std::optional<FinishReason> finish) {
  JsonObject out{{"model_name", model.id}, {"model_version", "1"}};
  if (!call.id.empty()) out["id"] = call.id;
  out["text_output"] = text;
  if (finish) out["details"] = JsonObject{{"finish_reason", reason_of(*finish)}};
  return out;
}

struct GenerateRun {
  GenerateCall call;
  openai::ServedModel model;
  Generation generation;
};

Result<GenerateRun> prepare(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_generate(body));
  STOA_TRY(model, model_of(d, scope));
  STOA_CHECK(d.models.generator(model.id, scope.principal().project));  // says what the model is for otherwise
  GenerateRun run{std::move(call), std::move(model), {}};
  run.call.request.model = run.model.id;
  add_choices(run.generation, run.call.request, 1);
  return run;
}

Reply generate(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(run, prepare(d, scope));
  STOA_TRY(answers, answer(d, scope, run.model, run.generation));
  return ok_json(generated_json(run.model, run.call, answers.choices.front().text, answers.choices.front().finish));
}

// Ends with an event that has details; one that fails ends with an event that has an error.
Reply generate_stream(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(run, prepare(d, scope));
  STOA_CHECK(reserve_generation(scope, *run.model.generator, run.generation, "completion", kPrompt));
  scope.set_answer_id(new_id("cmpl"));
  openai::note_model(scope, d.models, run.generation.requests.front());
  SseStream stream(scope);
  std::string text;
  FinishReason finish = FinishReason::kStop;
  const GenerationSink sink{.delta = [&](int, const ChatDelta& delta) {
                              text += delta.text;
                              return delta.text.empty() ? !scope.call().cancel.cancelled() : stream.send(generated_json(run.model, run.call, delta.text, std::nullopt));
                            },
                            .done = [&](int, const ChatOutcome& outcome) {
                              finish = outcome.finish;
                              return true;
                            }};
  auto usage = run_settled(scope, *run.model.generator, run.generation, sink, kPrompt);
  if (!usage) {
    if (!stream.begun()) return std::unexpected(std::move(usage).error());
    stream.fail_with(usage.error(), {{"error", to_valid_utf8(usage.error().message)}});
    return std::nullopt;
  }
  scope.set_content(question_of(run.generation), std::move(text));
  stream.end_with(dump_json(generated_json(run.model, run.call, "", finish)));
  return std::nullopt;
}

}  // namespace

infra::HttpResponse error_response(const Error& error, std::string_view) {
  const bool overflow = is_context_overflow(error);
  std::string text = error.message;
  if (!error.hint.empty()) text += " (" + error.hint + ")";
  return infra::HttpResponse::json(error_info(overflow ? ErrorCode::kInvalidArgument : error.code).http_status, dump_json(JsonObject{{"error", to_valid_utf8(text)}}));
}

bool is_ours(std::string_view path) { return path == "/v2" || path.starts_with("/v2/models") || path.starts_with("/v2/health"); }

infra::HttpResponse render_http_error(const infra::HttpRequest&, int status, const Error& error) { return early_error(status, error, error_response); }

Status register_inference(infra::Router& router, const Dependencies& d) {
  for (const auto& [path, key] : {std::pair("/v2/health/live", "live"), std::pair("/v2/health/ready", "ready")})
    STOA_CHECK(add_public_route(router, "GET", path, "probes have no keys", [key = std::string(key)](const infra::HttpRequest&, infra::Responder& responder) {
      responder.send(infra::HttpResponse::json(200, dump_json(JsonObject{{key, true}})));
    }, {.inline_on_io = true}));
  const auto add = [&](const char* method, std::string pattern, Action action, Reply (*handler)(const Dependencies&, RequestScope&)) {
    return d.pipeline.route(router, method, std::move(pattern), action, "model", error_response, [&d, handler](RequestScope& scope) { return handler(d, scope); });
  };
  STOA_CHECK(add("GET", "/v2", Action::kModelList, server_metadata));
  for (const std::string model : {"/v2/models/{name}", "/v2/models/{name}/versions/{version}"}) {
    STOA_CHECK(add("GET", model, Action::kModelList, model_metadata));
    STOA_CHECK(add("GET", model + "/ready", Action::kModelList, model_ready));
    STOA_CHECK(add("POST", model + "/infer", Action::kModelUse, infer));
    STOA_CHECK(add("POST", model + "/generate", Action::kModelUse, generate));
    STOA_CHECK(add("POST", model + "/generate_stream", Action::kModelUse, generate_stream));
  }
  return {};
}

}  // namespace stoa::gateway::oip
