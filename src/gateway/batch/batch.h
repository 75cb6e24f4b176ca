// A batch: many requests that are run when there is time for them. Its lines are JSON Lines, in the words of the dialect that it came in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "contracts/call.h"
#include "contracts/chat.h"
#include "gateway/api/fields.h"

namespace stoa::gateway {

// In the order of a batch's life; stored as numbers.
enum class BatchStatus : std::uint8_t { kValidating, kInProgress, kCancelling, kFinalizing, kCompleted, kFailed, kExpired, kCancelled };
std::string_view batch_status_name(BatchStatus status);  // as OpenAI calls them
inline bool has_ended(BatchStatus status) { return status >= BatchStatus::kCompleted; }

struct BatchProblem {
  std::string code, message;
  std::string param = {};
  std::int64_t line = 0;  // from 1; 0: of the whole
};

struct Batch {
  std::string id;                      // "batch_..." or "msgbatch_..."
  std::string dialect;                 // "openai", "anthropic"
  std::string tenant, project, owner;  // whose it is
  std::string key;                     // "key_..." it was made with; empty for a user without one
  Origin origin{};                     // where it came from: what policies are told when its lines run
  std::string endpoint{};              // of all lines; empty where each names its own
  std::string input{};                 // digest of the lines
  std::int64_t bytes = 0;              // of them
  std::string input_file{}, output_file{}, error_file{};  // "file-..."; may be empty
  Metadata metadata{};
  BatchStatus status = BatchStatus::kValidating;
  BatchStatus ending = BatchStatus::kCompleted;  // what it becomes once it is finalized
  Micros created = 0, expires = 0;
  Micros started = 0, cancelling = 0, finalizing = 0, ended = 0;  // 0: not yet
  std::int64_t total = 0;              // lines; 0 where it is not known before they are validated
  std::int64_t succeeded = 0, failed = 0;  // lines with an answer, and with an error
  std::int64_t cancelled = 0, expired = 0; // lines that were not run
  Usage usage{};                       // of its lines, as their answers say
  std::vector<BatchProblem> problems{};
};

// What became of a line. Of a status in the range of HTTP the body is the response's; else it is empty, but for kUnrunnable, where it is the reason.
struct BatchResult {
  static constexpr int kExpired = 1, kCancelled = 2, kUnrunnable = 3;

  std::int64_t line = 0;   // from 1
  int status = 0;
  std::string custom_id;
  std::string request_id;  // "req_..."; empty when it was not run
  std::string body;        // JSON
  Usage usage{};           // that the body tells; not there when results are read again

  bool ran() const { return status >= 100; }
  bool succeeded() const { return status >= 200 && status < 300; }
};

}  // namespace stoa::gateway
