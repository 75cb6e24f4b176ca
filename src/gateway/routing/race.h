// Two targets asked for the same answer: the second when the first has given nothing for a while. Whoever gives the first piece answers; the other is
// told to stop.
#pragma once

#include <functional>
#include <optional>

#include "gateway/routing/route_parts.h"

namespace stoa::gateway {

// Asks one target, on whatever thread it is called: gives deltas to the sink until the answer is complete or `call` is cancelled.
using AskTarget = std::function<Result<ChatOutcome>(const OpenTarget& target, const Call& call, const models::DeltaSink& sink)>;

struct RaceOutcome {
  Result<ChatOutcome> outcome;            // of the one that answers; with what the other has to be paid in ChatOutcome::also
  const OpenTarget* answered = nullptr;   // whose outcome it is
};

// `sink` is called on this thread. `second` gives the other target once the time has come, or null for none. Both have ended when it returns.
RaceOutcome race_targets(const OpenTarget& first, const std::function<const OpenTarget*()>& second, milliseconds after, const Call& call, const AskTarget& ask, const models::DeltaSink& sink);

}  // namespace stoa::gateway
