// Several answers generated at the same time, measured while all of them run.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"
#include "models/engine/generator.h"

namespace stoa::models {

struct StreamsMeasured {
  std::vector<Usage> usages;    // of each request
  double window_seconds = 0;    // from when every answer had `skip` deltas until the first one was complete
  std::int64_t window_deltas = 0;  // of all answers in that time; a delta is a token where each token is text by itself
  double seconds = 0;           // from the first request to the last answer
};

// Sends all requests at once, each from a thread of its own. A reader holds its answer after the first delta until all have theirs, so that
// no answer is over while other prompts are still computed. `skip` is at least the deltas an engine buffers for a reader, plus two: what
// was buffered then lies before the window. An answer that began early may be that much ahead, so answers need twice `skip` and what is to be
// measured; kInvalidArgument when there is no time during which all ran. The first error ends the others' waiting and is returned.
Result<StreamsMeasured> measure_streams(Generator& generator, std::span<const ChatRequest> requests, int skip);

}  // namespace stoa::models
