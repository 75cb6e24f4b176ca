// An audit entry as one line of JSON: what the Merkle tree is built over, and what an export holds. Members in this order, no white space:
//   sequence, time (RFC 3339, microseconds, UTC), principal, tenant, project, action, resource, outcome, reason, request_id, trace_id, salt
#pragma once

#include <string>
#include <string_view>

#include "governance/audit/audit.h"

namespace stoa::governance {

std::string audit_line(const AuditEntry& entry);
// Reads what audit_line() writes, and nothing else: the line of what is read is the same text.
Result<AuditEntry> parse_audit_line(std::string_view line);

}  // namespace stoa::governance
