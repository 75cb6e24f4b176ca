// An audit entry as one line of JSON: what the Merkle tree is built over, and what an export holds. Members in this order, no white space:
//   sequence, time (RFC 3339, microseconds, UTC), principal, tenant, project, action, resource, outcome, reason, request_id, trace_id, salt
// and then those of these that have something to say, so that the lines of older entries stay what they were:
//   rule, key, address, break_glass, answer, record, query, mode, count, documents (a list of {"id", "version", "chunks", "readers"}), collections
#pragma once

#include <string>
#include <string_view>

#include "governance/audit/audit.h"

namespace stoa::governance {

std::string audit_line(const AuditEntry& entry);
// Reads what audit_line() writes, and nothing else: the line of what is read is the same text.
Result<AuditEntry> parse_audit_line(std::string_view line);

// The members after the salt alone, as an object; empty where there are none. Reading fills them in.
std::string audit_more(const AuditEntry& entry);
Status parse_audit_more(std::string_view more, AuditEntry& entry);

// An entry without sequence and salt, for the journal.
std::string pack_entry(const AuditEntry& entry);
Result<AuditEntry> unpack_entry(ByteSpan record);

}  // namespace stoa::governance
