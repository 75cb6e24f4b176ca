// Errors as the OpenAI clients read them. Statuses come from base/error_table.h alone.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace stoa::gateway::openai {

struct WireError {
  int status = 500;
  bool retryable = false;  // becomes the header x-should-retry
  JsonObject body;         // {"error": {message, type, param, code}}
};

WireError to_wire(const Error& error);

// No such model, or none that this principal may use.
Error unknown_model(std::string_view model);

}  // namespace stoa::gateway::openai
