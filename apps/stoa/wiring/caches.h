// What need not be made again: the cache, and what it has to forget.
#pragma once

#include <memory>

#include "gateway/cache/cache.h"
#include "infra/bus/bus.h"
#include "wiring/installation.h"

namespace stoa::wiring {

class Routing;

// `routing` (which may be set later, before the first request) says which targets a caller may use; `embedder` may be null.
Result<std::unique_ptr<gateway::Cache>> open_cache(Installation& installation, Metrics& metrics, const std::unique_ptr<Routing>& routing, data::Embedder* embedder);

// Forgets what changed documents went into.
Status forget_changed(infra::EventBus& events, gateway::Cache& cache);

}  // namespace stoa::wiring
