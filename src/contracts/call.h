// What travels with every call from the edge inwards: who, until when, and where its spans go.
#pragma once

#include <string>

#include "base/time.h"
#include "base/trace.h"
#include "contracts/principal.h"

namespace stoa {

// One call of one principal. Cheap to copy; `trace` outlives the call. A service reads what it needs and passes it on.
struct Call {
  Principal principal;
  std::string request_id;      // "req_...", also in the response header x-request-id
  Trace* trace = nullptr;      // may be null: then nothing is recorded
  Deadline deadline;
  CancelToken cancel;          // set when the client goes away

  Span span(std::string_view name) const { return trace == nullptr ? Span() : trace->start(name); }
};

}  // namespace stoa
