// How a caller stands with its limits, in the headers that clients of the dialects look for.
#pragma once

#include <string_view>

#include "base/time.h"
#include "governance/limits/limits.h"
#include "infra/http/message.h"

namespace stoa::gateway {

// x-ratelimit-*, as OpenAI names them; on the routes of the Anthropic dialect anthropic-ratelimit-*.
void add_limit_headers(infra::HttpHeaders& headers, const governance::LimitState& state, std::string_view route, Micros now);

}  // namespace stoa::gateway
