// /v1/messages/batches: messages that are made when there is time for them.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "gateway/api/anthropic/messages.h"
#include "gateway/batch/batch_desk.h"

namespace stoa::gateway::anthropic {

inline constexpr std::string_view kBatchDialect = "anthropic";

// How this dialect's batches are read; their results are kept until they are deleted, or forgotten.
BatchDialect batch_dialect();

// The `requests` of a batch as lines of its input. kInvalidArgument names the request that is wrong.
Result<std::string> batch_lines(const JsonObject& body, std::size_t max_lines);
JsonObject batch_json(const Batch& batch, std::string_view public_url);
// A line of the results, with its line break.
std::string result_line(const BatchResult& result);

Status register_batches(infra::Router& router, const Dependencies& dependencies);

}  // namespace stoa::gateway::anthropic
