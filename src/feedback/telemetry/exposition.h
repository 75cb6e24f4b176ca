// The metrics of a process as a page that Prometheus scrapes (text format 0.0.4).
#pragma once

#include <string>
#include <string_view>

#include "base/metrics.h"

namespace stoa::feedback {

inline constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

enum class MetricNames {
  kOwn,
  kRouters,  // and the engine's a second time, under the names that request routers and dashboards made for vLLM read
};

// Every family of the registry, sorted by kind and name. Holds the registry's lock while values are copied, not while text is written.
std::string expose(const Metrics& metrics, MetricNames names = MetricNames::kOwn);

}  // namespace stoa::feedback
