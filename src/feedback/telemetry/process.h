// Metrics of the process itself, under the names that Prometheus' own clients use, and what build is running.
#pragma once

#include <string>

#include "base/metrics.h"
#include "base/time.h"

namespace stoa::feedback {

struct BuildInfo {
  std::string version;   // "0.1.0"
  std::string compiler;  // "g++ 12.2"
};

// Registers process_* and stoa_build_info. One thread at a time; `metrics` outlives it.
class ProcessMetrics {
 public:
  ProcessMetrics(Metrics& metrics, const BuildInfo& build);
  // Reads the system's figures anew: call it before each exposition. A figure that cannot be read keeps its last value.
  void sample();

 private:
  Counter& cpu_;
  Gauge& resident_;
  Gauge& virtual_;
  Gauge& open_files_;
  Gauge& max_files_;
  Gauge& threads_;
};

}  // namespace stoa::feedback
