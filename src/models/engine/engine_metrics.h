// What the engine tells about itself. The table of names, also of those that other programs look for, is in README.md.
#pragma once

#include <string>

#include "base/metrics.h"

namespace stoa::models {

// References into a registry, which outlives it. Thread-safe.
class EngineMetrics {
  struct Maker;
  explicit EngineMetrics(const Maker& make);

 public:
  EngineMetrics(Metrics& metrics, const std::string& model);

  Gauge &queued, &running;
  Gauge &kv_used, &kv_cached, &kv_size, &kv_share;
  Counter &steps, &step_seconds;
  Counter &prompt_computed, &prompt_admitted;  // the latter: of admitted requests, found in the cache or not
  Counter &generated_tokens, &preemptions;
  Counter &prefix_queries, &prefix_hits;  // tokens
  Counter &drafted, &accepted;            // tokens
  Counter &refused_full, &refused_wait, &refused_deadline, &displaced;
  Counter &ended_stop, &ended_length, &ended_cancelled;
  Histogram &first_token, &per_token, &duration, &queue_seconds, &inter_token;
};

}  // namespace stoa::models
