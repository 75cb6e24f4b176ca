// Joins the pipeline to what feedback keeps of requests.
#pragma once

#include <string>

#include "feedback/telemetry/request_metrics.h"
#include "feedback/traces/trace_store.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::admin {

// Counts the work and stores the trace of every request of a known principal. What is passed by reference outlives what is returned; `currency` is that
// of the ledger's prices.
RequestObserver observe_requests(feedback::RequestMetrics& metrics, feedback::TraceStore& traces, std::string currency);

}  // namespace stoa::gateway::admin
