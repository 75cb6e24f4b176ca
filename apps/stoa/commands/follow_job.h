// Ingest jobs of the server, as they go on.
#pragma once

#include <string>

#include "commands/api_client.h"
#include "commands/terminal.h"

namespace stoa::cli {

// Shows how far the job is until it has ended; what it says of itself then.
Result<JsonObject> follow_job(ApiClient& api, const std::string& job, Progress& progress);

}  // namespace stoa::cli
