// The audit log as a subscriber of the event bus: one entry for each finished request.
#pragma once

#include "governance/audit/checkpoints.h"
#include "infra/bus/bus.h"

namespace stoa::governance {

// An entry is never given up: while the store refuses it (disk full), the events wait in the stream, and publishers slow down when
// there are too many. An event that comes again adds nothing.
infra::Subscription request_audit_subscription();
// Both outlive the handler. Checkpoints are made meanwhile, one a minute at most.
infra::EventHandler audit_requests(AuditLog& log, AuditCheckpoints& checkpoints);

}  // namespace stoa::governance
