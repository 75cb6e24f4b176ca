// Batches: the wire's JSON <-> batches and their lines.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "gateway/batch/batch_runner.h"

namespace stoa::gateway::openai {

struct BatchCall {
  std::string input_file;  // "file-..."
  std::string endpoint;
  Metadata metadata;
};
Result<BatchCall> parse_batch_call(const JsonObject& body);

// A line {custom_id, method, url, body}. The error's param is "json" where it is none at all.
Result<BatchLine> parse_batch_line(std::string_view endpoint, std::string_view line);

JsonObject batch_json(const Batch& batch);

// A line of the output file, or of the error file, with its line break.
std::string result_line(const Batch& batch, const BatchResult& result);

}  // namespace stoa::gateway::openai
