#include "gateway/api/openai/generation.h"

#include "gateway/api/openai/errors.h"
#include "gateway/api/sse_stream.h"

namespace stoa::gateway::openai {

Status stream_answer(RequestScope& scope, models::Generator& generator, const Generation& generation, const AnswerEvents& events,
                     std::string_view param) {
  SseStream stream(scope);
  std::vector<bool> opened(generation.requests.size());
  const auto open = [&](int index) {
    if (!events.opening || opened[static_cast<std::size_t>(index)]) return true;
    opened[static_cast<std::size_t>(index)] = true;
    return stream.send(events.opening(index));
  };
  std::string first;  // text of the first alternative
  const auto text = [&](int index, const ChatDelta& delta) {
    if (index == 0) first += delta.text;
    return open(index) && stream.send_text(events.text(index, delta));
  };
  const GenerationSink sink{.delta = text,
                            .done = [&](int index, const ChatOutcome& outcome) { return open(index) && stream.send(events.finish(index, outcome.finish)); }};
  auto usage = run_settled(scope, generator, generation, sink, param);
  if (!usage) {
    if (!stream.begun()) return std::unexpected(std::move(usage).error());
    stream.fail_with(usage.error(), to_wire(usage.error()).body);
    return {};
  }
  scope.set_content(question_of(generation), std::move(first));
  if (events.usage) stream.send(events.usage(*usage));
  stream.end_with("[DONE]");
  return {};
}

}  // namespace stoa::gateway::openai
