// Answers from documents on the terminal: what `ask` and `chat --store` share.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "commands/api_client.h"

namespace stoa::cli {

// The body of POST /v1/responses; `store` is an id.
JsonObject grounded_request(std::string_view question, const std::string& store);
// Prints the answer while it is written; gives the whole response.
Result<JsonObject> stream_grounded(ApiClient& api, JsonObject body);
// Citations, tokens, latency and cost.
void print_sources(const JsonObject& response);

}  // namespace stoa::cli
