// The audit log as a subscriber of the event bus: one entry for each finished request.
#pragma once

#include "governance/audit/audit.h"
#include "infra/bus/bus.h"

namespace stoa::governance {

// An entry is never given up: while the store refuses it (disk full), the events wait in the stream, and publishers slow down when
// there are too many. An event that comes again adds nothing.
infra::Subscription request_audit_subscription();
infra::EventHandler audit_requests(AuditLog& log);  // `log` outlives the handler

}  // namespace stoa::governance
