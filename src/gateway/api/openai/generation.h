// Running the generator for one request: several alternatives at once, one reservation, one sum of usage.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "gateway/api/openai/chat_json.h"
#include "gateway/api/pipeline.h"
#include "models/engine/generator.h"

namespace stoa::gateway::openai {

// Alternatives of the same prompt stand next to each other, `choices` of each.
struct Generation {
  std::vector<ChatRequest> requests;
  int choices = 1;
};

struct GenerationOutcome {
  std::vector<FinishReason> finishes;  // one a request
  Usage usage;                         // a prompt counts once, however many alternatives it has
};

// `request` `choices` times; a seed is moved on for each, so that alternatives differ and can be reproduced.
void add_choices(Generation& generation, const ChatRequest& request, int choices);

// Calls never overlap, from whichever thread they come. False stops everything.
struct GenerationSink {
  std::function<bool(int index, const ChatDelta& delta)> delta;
  std::function<bool(int index, FinishReason finish)> done;
};

// Requests before others need the right to be (governance: model.priority).
Status allow_priority(RequestScope& scope, const ChatRequest& request);

// Sets money aside for the prompts and for as much text as may come. `param` names the field of the prompt in the error of one that
// does not fit (400, context_length_exceeded). kInvalidArgument for `n` when the alternatives together may be longer than a server keeps.
Status reserve_generation(RequestScope& scope, models::Generator& generator, const Generation& generation, std::string_view kind,
                          std::string_view param);

// At most kParallel run at once. The first error stops the others.
Result<GenerationOutcome> run_generation(const Call& call, models::Generator& generator, const Generation& generation,
                                         const GenerationSink& sink, std::string_view param);

UsageReport report_usage(const RequestScope& scope, const Usage& usage);

// Runs a reserved generation, settles it, and gives its alternatives whole.
struct CollectedAnswer {
  std::vector<Choice> choices;
  UsageReport usage;
};
Result<CollectedAnswer> collect_answer(RequestScope& scope, models::Generator& generator, const Generation& generation, std::string_view param);

// The events of a streamed answer. Empty functions send nothing.
struct AnswerEvents {
  std::function<JsonObject(int index)> opening;  // before the first text of an alternative
  std::function<JsonObject(int index, const ChatDelta& delta)> text;
  std::function<JsonObject(int index, FinishReason finish)> finish;
  std::function<JsonObject(const UsageReport& usage)> usage;
};
// Runs a reserved generation and settles it while streaming. An error before the first event is returned; a later one is told in
// the stream, which then ends without [DONE].
Status stream_answer(RequestScope& scope, models::Generator& generator, const Generation& generation, const AnswerEvents& events,
                     std::string_view param);

}  // namespace stoa::gateway::openai
