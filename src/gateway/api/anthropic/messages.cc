#include "gateway/api/anthropic/messages.h"

#include "base/id.h"
#include "gateway/api/anthropic/answer_json.h"
#include "gateway/api/anthropic/batches.h"
#include "gateway/api/anthropic/cited_answer.h"
#include "gateway/api/anthropic/errors.h"
#include "gateway/api/anthropic/messages_json.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/sse_stream.h"

namespace stoa::gateway::anthropic {
namespace {

using Reply = Result<std::optional<infra::HttpResponse>>;

constexpr std::string_view kPrompt = "messages", kVersion = "anthropic-version";

Status stream_message(RequestScope& scope, models::Generator& generator, const Generation& generation, const MessageHead& head, std::int64_t prompt_tokens) {
  SseStream stream(scope);
  MessageEvents events(head, prompt_tokens, [&](std::string_view type, const JsonObject& event) { return stream.send(event, type); });
  ChatOutcome outcome;
  const GenerationSink sink{.delta = [&](int, const ChatDelta& delta) { return events.add(delta); },
                            .done = [&](int, const ChatOutcome& done) {
                              outcome = done;
                              return true;
                            }};
  auto usage = run_settled(scope, generator, generation, sink, kPrompt);
  if (!usage) {
    if (!stream.begun()) return std::unexpected(std::move(usage).error());
    stream.fail_with(usage.error(), error_json(usage.error(), scope.call().request_id), "error");
    return {};
  }
  scope.set_content(question_of(generation), events.text());
  events.end(outcome.finish, outcome.stop, *usage);
  stream.end_with(R"({"type":"message_stop"})", "message_stop");
  return {};
}

Reply create(const Dependencies& dependencies, RequestScope& scope) {
  STOA_CHECK(check_version(scope.request()));
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_message_call(body));
  if (call.cites()) return answer_with_citations(dependencies, scope, std::move(call));
  STOA_CHECK(place_documents(call.request, call.documents, scope.call().deadline));
  STOA_TRY(generator, dependencies.models.generator(call.request.model, scope));
  Generation generation;
  add_choices(generation, call.request, 1);
  STOA_TRY(prompt_tokens, reserve_generation(scope, *generator, generation, "chat", kPrompt));
  const MessageHead head{.id = new_id("msg"), .model = call.request.model, .priority = call.request.priority, .thinking = call.thinking};
  scope.set_answer_id(head.id);
  openai::note_model(scope, dependencies.models, call.request);
  if (call.stream) {
    STOA_CHECK(stream_message(scope, *generator, generation, head, prompt_tokens));
    return std::nullopt;
  }
  STOA_TRY(answer, collect_answer(scope, *generator, generation, kPrompt));
  STOA_TRY(message, message_json(head, answer.choices.front(), answer.usage));
  return infra::HttpResponse::json(200, dump_json(message));
}

Reply count_tokens(const Dependencies& dependencies, RequestScope& scope) {
  STOA_CHECK(check_version(scope.request()));
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(prompt, parse_prompt(body));
  STOA_CHECK(place_documents(prompt.request, prompt.documents, scope.call().deadline));
  const ChatRequest& request = prompt.request;
  STOA_TRY(generator, dependencies.models.generator(request.model, scope.principal().project));
  STOA_TRY(tokens, generator->count_prompt_tokens(request));
  JsonObject out;
  out["input_tokens"] = tokens;
  return infra::HttpResponse::json(200, dump_json(out));
}

}  // namespace

Status check_version(const infra::HttpRequest& request) {
  constexpr std::string_view kDate = "0000-00-00";
  const std::string_view version = request.headers.get(kVersion);
  bool date = version.size() == kDate.size();
  for (std::size_t i = 0; date && i < version.size(); ++i) date = kDate[i] == '-' ? version[i] == '-' : version[i] >= '0' && version[i] <= '9';
  if (version.empty() || date) return {};
  return fail(error(ErrorCode::kInvalidArgument, "the header {} is '{}', but has to be a date such as 2023-06-01", kVersion, version.substr(0, 40)).with_param(std::string(kVersion)));
}

Status register_messages(infra::Router& router, const Dependencies& dependencies) {
  const auto add = [&](const char* path, Reply (*handler)(const Dependencies&, RequestScope&)) {
    return dependencies.pipeline.route(router, "POST", path, governance::Action::kModelUse, "chat completion", error_response,
                                       [&dependencies, handler](RequestScope& scope) { return handler(dependencies, scope); });
  };
  STOA_CHECK(add("/v1/messages", create));
  STOA_CHECK(add("/v1/messages/count_tokens", count_tokens));
  return register_batches(router, dependencies);
}

}  // namespace stoa::gateway::anthropic
