// Stored traces: for each request one record of who asked what of which model, what it used and cost, and the spans of its stages.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "base/time.h"
#include "base/trace.h"
#include "contracts/chat.h"
#include "contracts/principal.h"
#include "governance/access/access.h"
#include "governance/protection/sealed_table.h"
#include "governance/protection/sealer.h"
#include "infra/sql/sql.h"

namespace stoa::feedback {

// What is known of a request without its spans.
struct TraceSummary {
  std::string trace_id;    // 32 hexadecimal digits
  std::string request_id;  // "req_..."
  std::string answer_id;   // "resp_...", "chatcmpl-..."; empty when there was none
  std::string tenant, project, principal, user;
  std::string operation;   // what was asked for: "POST /v1/responses"
  std::string model;       // empty when none was involved
  Micros start = 0, end = 0;
  int http_status = 0;     // 0 when the work did not come over HTTP
  std::string error;       // empty when the request succeeded; otherwise the error's stable name ("not_found")
  Usage usage;
  std::int64_t cost = 0;   // micro-units
  std::string currency;
};

struct TraceRecord : TraceSummary {
  std::vector<SpanRecord> spans;
  std::string input, output;  // prompt and answer; kept only where the project says so (ProjectKeys::keep)
};

struct TraceOptions {
  int retention_days = 30;       // older traces are deleted by the store itself; 0 keeps everything
  std::size_t queue = 4096;      // records waiting to be written; further ones are dropped and counted
  std::size_t batch = 256;       // records of one transaction
  milliseconds linger{50};       // how long a first record waits for others to share its commit
  std::size_t max_content = 64u << 10;  // bytes kept of input and of output, cut at a character
};

struct TraceQuery {
  std::string principal{}, model{}, operation{};  // empty: all
  bool failed_only = false;
  bool work_only = false;                   // those that used a model or failed: leaves out looking things up
  Micros from = 0, until = INT64_MAX;       // start in [from, until)
  std::string before{};                     // trace id of the last one of the page before: only older ones follow
  std::size_t limit = 50;                   // 1 to 1000
};

// Written by a thread of its own, so that a request never waits for the disk. Losing traces under overload is accepted (and counted
// in stoa_traces_dropped_total); what is paid for is in the ledger, which never drops. Spans and content are sealed under the
// key of the project; of a request without one, or whose key cannot be had, only the summary is kept. Thread-safe. References outlive the store.
class TraceStore {
 public:
  static Result<std::unique_ptr<TraceStore>> open(infra::SqlDatabase& database, governance::Sealer& sealer, Metrics& metrics, TraceOptions options = {},
                                                  const Clock& clock = Clock::system());
  static governance::SealedTable sealed_table();
  virtual ~TraceStore() = default;  // writes what is queued, then ends the thread

  // Never blocks. False when the record was dropped because the queue is full.
  virtual bool record(TraceRecord record) = 0;
  // Waits until everything recorded before the call is readable. kDeadlineExceeded when late.
  virtual Status flush(Deadline deadline) = 0;

  // By trace, request or answer id, within the permit's project (an admin: tenant). kNotFound otherwise, and for other projects' traces.
  virtual Result<TraceRecord> get(const governance::Permit& permit, std::string_view id) = 0;
  // Newest first, of the permit's project. kNotFound when `before` is not one of them.
  virtual Result<std::vector<TraceSummary>> query(const governance::Permit& permit, const TraceQuery& query) = 0;

  // Deletes traces that started before `before`, at most `limit` of them; gives the number deleted.
  virtual Result<std::int64_t> purge(Micros before, std::size_t limit = 10'000) = 0;
};

}  // namespace stoa::feedback
