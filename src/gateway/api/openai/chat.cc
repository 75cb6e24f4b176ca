#include "gateway/api/openai/chat.h"

#include "base/id.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/openai/chat_json.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/generation.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::string_view kPrompt = "messages";

Reply chat(const Dependencies& dependencies, RequestScope& scope) {
  JsonArena arena;
  STOA_TRY(body, parse_body(scope.request().body, arena));
  STOA_TRY(call, parse_chat(body));
  STOA_TRY(generator, dependencies.models.generator(call.request.model, scope));
  Generation generation;
  add_choices(generation, call.request, call.choices);
  STOA_CHECK(reserve_generation(scope, *generator, generation, "chat", kPrompt));
  const AnswerHead head{.id = new_id("chatcmpl"), .created = scope.started() / 1'000'000, .model = call.request.model,
                        .logprobs = call.request.sampling.logprobs >= 0, .priority = call.request.priority};
  scope.set_answer_id(head.id);
  note_model(scope, dependencies.models, call.request);
  if (!call.stream) {
    STOA_TRY(answer, collect_answer(scope, *generator, generation, kPrompt));
    return ok_json(chat_json(head, answer.choices, answer.usage));
  }
  const bool usage = call.include_usage;
  AnswerEvents events{.opening = [&](int index) { return chat_role_chunk(head, index, usage); },
                      .text = [&](int index, const ChatDelta& delta) { return chat_text_chunk(head, index, delta, usage); },
                      .finish = [&](int index, FinishReason finish) { return chat_finish_chunk(head, index, finish, usage); },
                      .usage = {}};
  if (usage) events.usage = [&](const UsageReport& report) { return chat_usage_chunk(head, report); };
  STOA_CHECK(stream_answer(scope, *generator, generation, events, kPrompt));
  return std::nullopt;
}

}  // namespace

Status register_chat(infra::Router& router, const Dependencies& dependencies) {
  return dependencies.pipeline.route(router, "POST", "/v1/chat/completions", governance::Action::kModelUse, "chat completion", error_response,
                                     [&dependencies](RequestScope& scope) { return chat(dependencies, scope); });
}

}  // namespace stoa::gateway::openai
