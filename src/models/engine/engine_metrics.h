// What the engine tells about itself: under its own names, and under those that request routers and dashboards made for vLLM read
// (label model_name). The table is in README.md.
#pragma once

#include <string>

#include "base/metrics.h"

namespace stoa::models {

// An instrument under two names.
class TwinCounter {
 public:
  TwinCounter(Counter& own, Counter& twin) : own_(own), twin_(twin) {}
  void add(double amount = 1) {
    own_.add(amount);
    twin_.add(amount);
  }

 private:
  Counter &own_, &twin_;
};

class TwinGauge {
 public:
  TwinGauge(Gauge& own, Gauge& twin) : own_(own), twin_(twin) {}
  void set(double value) {
    own_.set(value);
    twin_.set(value);
  }

 private:
  Gauge &own_, &twin_;
};

class TwinHistogram {
 public:
  TwinHistogram(Histogram& own, Histogram& twin) : own_(own), twin_(twin) {}
  void observe(double value) {
    own_.observe(value);
    twin_.observe(value);
  }

 private:
  Histogram &own_, &twin_;
};

// References into a registry, which outlives it. Thread-safe.
class EngineMetrics {
  struct Maker;
  explicit EngineMetrics(const Maker& make);

 public:
  EngineMetrics(Metrics& metrics, const std::string& model);

  TwinGauge queued, running;
  Gauge &kv_used, &kv_cached, &kv_size, &kv_share;
  Counter &steps, &step_seconds;
  Counter &prompt_computed, &prompt_tokens;  // the latter: of admitted requests, found in the cache or not
  TwinCounter generated_tokens, preemptions;
  TwinCounter prefix_queries, prefix_hits;  // tokens
  TwinCounter drafted, accepted;            // tokens
  Counter &refused_full, &refused_wait, &refused_deadline, &displaced;
  Counter &success_stop, &success_length, &success_cancelled;
  TwinHistogram first_token, per_token, duration;
  Histogram &queue_seconds, &inter_token;
};

}  // namespace stoa::models
