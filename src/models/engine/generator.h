// The port behind which every source of generated text stands: the local engine, and later remote providers.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/chat.h"

namespace stoa::models {

// Receives the stream of one request on the calling thread. Return false to stop generating.
using DeltaSink = std::function<bool(const ChatDelta&)>;

// An adapter that answers under a name of its own beside the model's: "<model>:<name>", or the name alone.
struct NamedAdapter {
  std::string name;
  std::string artifact;  // digest of its weights, "sha256:..."; empty: not known
};

// Thread-safe: many calls at once. A call blocks until the answer is complete, the sink stops it, call.cancel is set or
// call.deadline passes. A failure before the first
// delta comes back as the Error; one after it as the Error, too, or as FinishReason::kError with what has to be paid.
class Generator {
 public:
  virtual ~Generator() = default;

  // Errors: kInvalidArgument (bad options), kTooLarge (prompt exceeds the context; the message says both lengths),
  // kResourceExhausted (queue full), kDeadlineExceeded, kCancelled (before it was started), kUnavailable (shutting down).
  // A started request that the sink or call.cancel stops is no error: it comes back as FinishReason::kCancelled with its usage.
  virtual Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const DeltaSink& sink) = 0;

  // Tokens that `request` would put into the prompt; used for reservations and limits.
  virtual Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const = 0;
  virtual int context_length() const = 0;
  // What may answer in its place, by the names that prices and the ledger know; empty: it answers itself, under the name that was asked.
  virtual std::vector<std::string> targets() const { return {}; }
  // Those that callers of `project` may choose: its own and the installation's. generate() finds no others, whatever a request names.
  virtual std::vector<NamedAdapter> adapters(std::string_view /*project*/) const { return {}; }
};

}  // namespace stoa::models
