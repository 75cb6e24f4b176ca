// The parts of a stored batch that are JSON: where it came from, and what was wrong with it.
#pragma once

#include <vector>

#include "base/json.h"
#include "gateway/batch/batch.h"

namespace stoa::gateway {

JsonArray problems_json(const std::vector<BatchProblem>& problems);
std::vector<BatchProblem> problems_of(const JsonArray& problems);

JsonObject origin_json(const Origin& origin);
Origin origin_of(const JsonObject& origin);

// The tokens that the answer to a line says were used, in any dialect; nothing where it says nothing.
Usage usage_of(std::string_view body);

}  // namespace stoa::gateway
