// What finished requests used and cost, as metrics: a subscriber of the event bus.
#pragma once

#include "base/metrics.h"
#include "infra/bus/bus.h"

namespace stoa::feedback {

// stoa_tokens_total, stoa_compute_seconds_total and stoa_cost_micro_units_total by model, and the time to the first token. What was finished shortly before a crash is
// counted by the next process.
infra::Subscription request_metrics_subscription();
infra::EventHandler count_requests(Metrics& metrics);  // `metrics` outlives the handler

}  // namespace stoa::feedback
