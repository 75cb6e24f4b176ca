// An answer of chat completions or completions as a stream: its events stand in the order of the protocol, whichever alternative they are of.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"
#include "gateway/api/generation.h"

namespace stoa::gateway::openai {

// The events of a streamed answer. Empty functions send nothing.
struct AnswerEvents {
  std::function<JsonObject(int index)> opening;  // before the first text of an alternative
  std::function<std::string(int index, const ChatDelta& delta)> text;  // as JSON
  std::function<JsonObject(int index, FinishReason finish)> finish;
  std::function<JsonObject(const UsageReport& usage)> usage;
};
// Runs a reserved generation and settles it while streaming. An error before the first event is returned; a later one is told in
// the stream, which then ends without [DONE].
Status stream_answer(RequestScope& scope, models::Generator& generator, const Generation& generation, const AnswerEvents& events,
                     std::string_view param);

}  // namespace stoa::gateway::openai
