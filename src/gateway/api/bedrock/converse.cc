#include "gateway/api/bedrock/converse.h"

#include "base/id.h"
#include "gateway/api/bedrock/answer_json.h"
#include "gateway/api/bedrock/converse_json.h"
#include "gateway/api/bedrock/errors.h"
#include "gateway/api/openai/answer_notes.h"
#include "infra/aws/event_stream.h"

namespace stoa::gateway::bedrock {
namespace {

using Reply = Result<std::optional<infra::HttpResponse>>;

constexpr std::string_view kPrompt = "messages";

// The stream of one answer in AWS's framing. It begins with the first event, so that what fails before is still a plain error response. One thread at a time.
class EventStream {
 public:
  explicit EventStream(RequestScope& scope) : scope_(scope) {}

  bool send(std::string_view name, const JsonObject& payload) { return write("event", name, payload); }
  bool begun() const { return begun_; }
  // The events by which clients tell that the answer is whole: only when the request has been recorded; else the stream is cut.
  void end_with(const JsonObject& stop, const JsonObject& metadata) {
    if (scope_.conclude()) write("event", "messageStop", stop) && write("event", "metadata", metadata);
    scope_.end_stream();
  }
  void fail_with(const Error& error) {
    scope_.set_error(error);
    if (scope_.conclude()) write("exception", stream_exception(error), error_json(error));
    scope_.end_stream();
  }

 private:
  bool write(std::string_view type, std::string_view name, const JsonObject& payload) {
    if (!std::exchange(begun_, true)) scope_.start_stream("application/vnd.amazon.eventstream");
    return scope_.write(infra::format_event_message(
        {{{fmt::format(":{}-type", type), std::string(name)}, {":content-type", "application/json"}, {":message-type", std::string(type)}}, dump_json(payload)}));
  }

  RequestScope& scope_;
  bool begun_ = false;
};

Status stream_answer(RequestScope& scope, models::Generator& generator, const Generation& generation, bool tells_stop) {
  EventStream stream(scope);
  ConverseEvents events([&](std::string_view name, const JsonObject& payload) { return stream.send(name, payload); });
  ChatOutcome outcome;
  const GenerationSink sink{.delta = [&](int, const ChatDelta& delta) { return events.add(delta); },
                            .done = [&](int, const ChatOutcome& done) {
                              outcome = done;
                              return true;
                            }};
  auto usage = run_settled(scope, generator, generation, sink, kPrompt);
  if (!usage) {
    if (!stream.begun()) return std::unexpected(std::move(usage).error());
    stream.fail_with(usage.error());
    return {};
  }
  scope.set_content(question_of(generation), events.text());
  events.finish();
  stream.end_with(stop_json(outcome.finish, outcome.stop, tells_stop), metadata_event(*usage));
  return {};
}

std::string model_of(const RequestScope& scope) { return std::string(scope.request().path_param("modelId")); }

Reply run(const Dependencies& dependencies, RequestScope& scope, bool stream) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_converse(body));
  call.request.model = model_of(scope);
  STOA_TRY(generator, dependencies.models.generator(call.request.model, scope));
  Generation generation;
  add_choices(generation, call.request, 1);
  STOA_CHECK(reserve_generation(scope, *generator, generation, "chat", kPrompt));
  scope.set_answer_id(new_id("msg"));
  openai::note_model(scope, dependencies.models, call.request);
  if (stream) {
    STOA_CHECK(stream_answer(scope, *generator, generation, call.tells_stop));
    return std::nullopt;
  }
  STOA_TRY(answer, collect_answer(scope, *generator, generation, kPrompt));
  STOA_TRY(json, answer_json(answer.choices.front(), answer.usage, call.tells_stop));
  return infra::HttpResponse::json(200, dump_json(json));
}

Reply converse(const Dependencies& dependencies, RequestScope& scope) { return run(dependencies, scope, false); }
Reply converse_stream(const Dependencies& dependencies, RequestScope& scope) { return run(dependencies, scope, true); }

Reply count_tokens(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(request, parse_count(body));
  request.model = model_of(scope);
  STOA_TRY(generator, dependencies.models.generator(request.model, scope.principal().project));
  STOA_TRY(tokens, generator->count_prompt_tokens(request));
  JsonObject out;
  out["inputTokens"] = tokens;
  return infra::HttpResponse::json(200, dump_json(out));
}

}  // namespace

Status register_converse(infra::Router& router, const Dependencies& dependencies) {
  const auto add = [&](const char* path, Reply (*handler)(const Dependencies&, RequestScope&)) {
    return dependencies.pipeline.route(router, "POST", path, governance::Action::kModelUse, "chat completion", error_response,
                                       [&dependencies, handler](RequestScope& scope) { return handler(dependencies, scope); });
  };
  STOA_CHECK(add("/model/{modelId}/converse", converse));
  STOA_CHECK(add("/model/{modelId}/converse-stream", converse_stream));
  return add("/model/{modelId}/count-tokens", count_tokens);
}

}  // namespace stoa::gateway::bedrock
