// Attempts at a line of a batch: the id of each one's request, and the pause before the next.
#pragma once

#include <cstdint>
#include <string>

#include "base/time.h"
#include "infra/http/message.h"

namespace stoa::gateway {

// The same for a line and an attempt at it, over restarts too: the batch's time, then a digest. Of the form of new_id("req").
std::string line_request(const std::string& batch, std::int64_t line, int attempt);

// After a response that says that a retry may help: what it asks for (retry-after), or longer with each attempt.
milliseconds pause_before(const infra::HttpResponse& response, int attempt, milliseconds first, milliseconds longest);

}  // namespace stoa::gateway
