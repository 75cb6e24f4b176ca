// What travels with every call from the edge inwards: who, from where, until when, and where its spans go.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "base/trace.h"
#include "contracts/principal.h"

namespace stoa {

// Where a call comes from and what for, as far as it is known: policies may ask (context.address, context.tls, context.purpose, context.data_class, context.tags).
struct Origin {
  std::string address;  // IPv4 or IPv6 without a port; empty inside the machine (command line, resumed jobs)
  bool tls = false;     // meaningful with an address
  std::string purpose;  // what the caller says it is for; empty: nothing was said
  std::string data_class;         // what the caller says its content is: "restricted"; empty: nothing was said
  std::vector<std::string> tags;  // what its cost is booked under: "team=search", sorted
};

// One call of one principal. Cheap to copy; `trace` outlives the call. A service reads what it needs and passes it on.
struct Call {
  Principal principal;
  std::string request_id;      // "req_...", also in the response header x-request-id
  Trace* trace = nullptr;      // may be null: then nothing is recorded
  Deadline deadline;
  CancelToken cancel;          // set when the client goes away
  Origin origin{};
  bool batch = false;          // of a batch: served after everything else, and priced as such

  // A call that comes from no request: of the command line, or of a job in the name of `principal`.
  static Call of(Principal principal) {
    Call call;
    call.principal = std::move(principal);
    return call;
  }

  Span span(std::string_view name) const { return trace == nullptr ? Span() : trace->start(name); }
};

}  // namespace stoa
