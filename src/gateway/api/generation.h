// Running the generator for one request: several alternatives at once, one reservation, one sum of usage.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "contracts/chat.h"
#include "gateway/api/pipeline.h"
#include "models/engine/generator.h"

namespace stoa::gateway {

// Alternatives of the same prompt stand next to each other, `choices` of each.
struct Generation {
  std::vector<ChatRequest> requests;
  int choices = 1;
};

struct GenerationOutcome {
  Usage usage;                       // of all together; a prompt counts once, however many alternatives it has, unless it was paid for each
  std::vector<ChatCharge> charges;   // what it is made of, by target: the first did (most of) the work. Never empty
  std::optional<CacheHit> cache;     // none of it was generated anew
  std::optional<Error> failure;      // it broke after its first piece: what there was until then has to be paid
};

// `request` `choices` times; a seed is moved on for each, so that alternatives differ and can be reproduced.
void add_choices(Generation& generation, const ChatRequest& request, int choices);

// Calls never overlap, from whichever thread they come. False stops everything.
struct GenerationSink {
  std::function<bool(int index, const ChatDelta& delta)> delta;
  std::function<bool(int index, const ChatOutcome& outcome)> done;
};

// A prompt that does not fit the model: `param` tells the dialects that it was the prompt, which clients expect a 400 for, and no 413.
Error context_overflow(Error engine_error, std::string_view param);
// Only a prompt is too large in one of these parameters; bodies and files carry none of them.
bool is_context_overflow(const Error& error);

// ChatRequest::priority of everything that Call::batch says of: below all that callers can ask for.
inline constexpr int kBatchPriority = -2;

// Requests before others need the right to be (governance: model.priority).
Status allow_priority(RequestScope& scope, const ChatRequest& request);

// Sets money aside for the prompts and for as much text as may come, and gives the tokens of the prompts. `param` names the field of the prompt in the error of one that
// does not fit (context_overflow). kInvalidArgument for `n` when the alternatives together may be longer than a server keeps.
Result<std::int64_t> reserve_generation(RequestScope& scope, models::Generator& generator, const Generation& generation, std::string_view kind,
                                        std::string_view param);

// At most kParallel run at once. The first error stops the others; when any of them has given a piece, it comes as GenerationOutcome::failure.
Result<GenerationOutcome> run_generation(const Call& call, models::Generator& generator, const Generation& generation,
                                         const GenerationSink& sink, std::string_view param);

// What a request measured, as each dialect words it.
struct UsageReport {
  Usage usage;
  std::optional<CacheHit> cache;
  std::string request_id;
  std::string trace_id;
  std::int64_t cost_micro_usd = 0;
};
UsageReport report_usage(const RequestScope& scope, const Usage& usage);
JsonObject stoa_json(const UsageReport& report);  // what usage has under "stoa"

// Books what every target did, and gives what went wrong after that, if anything did.
Result<UsageReport> settle_generation(RequestScope& scope, const GenerationOutcome& outcome);

// Runs a reserved generation and settles it. kCancelled when the client has gone.
Result<UsageReport> run_settled(RequestScope& scope, models::Generator& generator, const Generation& generation, const GenerationSink& sink,
                                std::string_view param);

// The question, for whoever keeps content: the last message of the user, or the prompt.
std::string question_of(const Generation& generation);

// One finished alternative of an answer.
struct Choice {
  std::string text;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
  std::vector<TokenLogprob> logprobs;
  FinishReason finish = FinishReason::kStop;
  std::string stop;  // as ChatOutcome::stop

  void add(const ChatDelta& delta);
};

// Runs a reserved generation, settles it, and gives its alternatives whole.
struct CollectedAnswer {
  std::vector<Choice> choices;
  UsageReport usage;
};
Result<CollectedAnswer> collect_answer(RequestScope& scope, models::Generator& generator, Generation& generation, std::string_view param);

}  // namespace stoa::gateway
