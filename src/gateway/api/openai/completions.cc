#include "gateway/api/openai/completions.h"

#include <utility>

#include "base/id.h"
#include "gateway/api/openai/answer_notes.h"
#include "gateway/api/openai/completions_json.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/generation.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::string_view kPrompt = "prompt";

Reply complete(const Dependencies& dependencies, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_completion(body));
  STOA_TRY(generator, dependencies.models.generator(call.request.model, scope));
  Generation generation;
  for (const std::string& prompt : call.prompts) {
    call.request.prompt = prompt;
    add_choices(generation, call.request, call.choices);
  }
  STOA_CHECK(reserve_generation(scope, *generator, generation, "completion", kPrompt));
  const AnswerHead head{.id = new_id("cmpl"), .created = scope.started() / 1'000'000, .model = call.request.model,
                        .logprobs = call.request.sampling.logprobs >= 0};
  scope.set_answer_id(head.id);
  note_model(scope, dependencies.models, call.request);
  if (!call.stream) {
    STOA_TRY(answer, collect_answer(scope, *generator, generation, kPrompt));
    for (std::size_t i = 0; call.echo && i < answer.choices.size(); ++i)
      answer.choices[i].text.insert(0, generation.requests[i].prompt);
    return ok_json(completion_json(head, answer.choices, answer.usage));
  }
  std::vector<std::size_t> offsets(generation.requests.size());  // bytes sent of each alternative
  const auto text = [&](int index, const ChatDelta& delta) {
    std::size_t& offset = offsets[static_cast<std::size_t>(index)];
    return completion_chunk(head, index, delta, std::exchange(offset, offset + delta.text.size()), nullptr);
  };
  AnswerEvents events{.opening = {}, .text = [&](int index, const ChatDelta& delta) { return dump_json(text(index, delta)); },
                      .finish = [&](int index, FinishReason finish) { return completion_chunk(head, index, {}, 0, &finish); }, .usage = {}};
  if (call.echo)
    events.opening = [&](int index) { return text(index, {.text = generation.requests[static_cast<std::size_t>(index)].prompt, .logprobs = {}}); };
  if (call.include_usage) events.usage = [&](const UsageReport& report) { return completion_usage_chunk(head, report); };
  STOA_CHECK(stream_answer(scope, *generator, generation, events, kPrompt));
  return std::nullopt;
}

}  // namespace

Status register_completions(infra::Router& router, const Dependencies& dependencies) {
  return dependencies.pipeline.route(router, "POST", "/v1/completions", governance::Action::kModelUse, "completion", error_response,
                                     [&dependencies](RequestScope& scope) { return complete(dependencies, scope); });
}

}  // namespace stoa::gateway::openai
