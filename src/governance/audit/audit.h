// The audit log: who did what to what, when, with which outcome and why. Rows are only ever added (triggers refuse the rest) and
// each carries the hash of the one before it, so that a change made behind the program's back shows.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "contracts/call.h"
#include "infra/sql/sql.h"

namespace stoa::governance {

enum class Outcome { kAllowed, kDenied, kFailed };
std::string_view outcome_name(Outcome outcome);

struct AuditEntry {
  std::int64_t sequence = 0;  // 1, 2, 3, ... given by append
  Micros time = 0;            // when it happened; 0: append gives the present
  std::string principal, tenant, project;
  std::string action;         // governance/access names, or "identity.key.create" and the like
  std::string resource;
  Outcome outcome = Outcome::kAllowed;
  std::string reason;         // rule id or error; never secrets or content
  std::string request_id, trace_id;

  // Principal, tenant, project, request and trace from the call.
  static AuditEntry of(const Call& call, std::string_view action, std::string_view resource);
  static AuditEntry of(const Principal& principal, std::string_view action, std::string_view resource);
};

struct AuditQuery {
  std::string tenant;  // empty fields do not filter; the caller has checked that the principal may read this tenant's log
  std::string principal, action, resource;
  Micros from = 0, until = INT64_MAX;  // [from, until)
  std::int64_t after = 0;              // entries with a greater sequence: the last one of the page before
  std::size_t limit = 100;             // at most 1000
};

struct AuditCheck {
  std::int64_t entries = 0;
  std::optional<std::int64_t> broken;  // sequence of the first entry that is missing or is not what was written
  std::string reason;
};

// Thread-safe. `database` and `clock` outlive it.
class AuditLog {
 public:
  static Result<std::unique_ptr<AuditLog>> open(infra::SqlDatabase& database, const Clock& clock = Clock::system());

  Status append(AuditEntry entry);  // durable when it returns
  // Commits with the change that it records.
  Status append(infra::SqlTransaction& transaction, AuditEntry entry);
  Result<std::vector<AuditEntry>> query(const AuditQuery& query);  // oldest first
  // An entry of a request that may be told of more than once: nothing is added when the request has one of this action and resource.
  Status append_once(AuditEntry entry);
  // Recomputes the chain from the start. Removing entries at the end shows only against a head that was kept elsewhere: pass it.
  Result<AuditCheck> verify(const std::optional<std::string>& expected_head = std::nullopt);
  // Hash of the last entry, hexadecimal; of an empty log: 64 zeros. Keep it outside to detect a cut-off end.
  Result<std::string> head();

 private:
  AuditLog(infra::SqlDatabase& database, const Clock& clock) : database_(database), clock_(clock) {}
  infra::SqlDatabase& database_;
  const Clock& clock_;
};

}  // namespace stoa::governance
