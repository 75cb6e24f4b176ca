// Joins the pipeline to the trace store.
#pragma once

#include <string>

#include "feedback/traces/trace_store.h"
#include "gateway/api/pipeline.h"

namespace stoa::gateway::admin {

// Records every request of a known principal. `store` outlives what is returned; `currency` is that of the ledger's prices.
RequestObserver record_traces(feedback::TraceStore& store, std::string currency);

}  // namespace stoa::gateway::admin
