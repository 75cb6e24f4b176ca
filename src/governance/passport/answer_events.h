// The store of answers' records as a subscriber of the event bus.
#pragma once

#include "governance/passport/passport_store.h"
#include "infra/bus/bus.h"

namespace stoa::governance {

// Never given up, like the audit entries of the same events (audit/request_audit.h).
infra::Subscription answer_records_subscription();
infra::StoreHandler keep_answers(PassportStore& store);  // which outlives the handler

}  // namespace stoa::governance
