#include "models/engine/engine_metrics.h"

#include <vector>

namespace stoa::models {
namespace {

const std::vector<double> kFirstTokenBuckets = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10};
const std::vector<double> kPerTokenBuckets = {.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5};
const std::vector<double> kDurationBuckets = {.01, .02, .04, .08, .16, .32, .64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};

}  // namespace

// Makes the instruments of one model.
struct EngineMetrics::Maker {
  Metrics& m;
  Labels labels;

  Counter& counter(const char* name, const char* help) const { return m.counter(name, help, labels); }
  Counter& refused(const char* reason) const {
    return m.counter("stoa_engine_refused_requests_total", "Requests refused instead of being queued, by reason", {labels[0], {"reason", reason}});
  }
  Counter& ended(const char* reason) const {
    return m.counter("stoa_engine_finished_requests_total", "Requests answered, by reason of their end", {labels[0], {"finished_reason", reason}});
  }
  Gauge& gauge(const char* name, const char* help) const { return m.gauge(name, help, labels); }
  Histogram& histogram(const char* name, const char* help, const std::vector<double>& bounds) const { return m.histogram(name, help, bounds, labels); }
};

EngineMetrics::EngineMetrics(Metrics& metrics, const std::string& model) : EngineMetrics(Maker{metrics, {{"model", model}}}) {}

EngineMetrics::EngineMetrics(const Maker& make)
    : queued(make.gauge("stoa_engine_queue_depth", "Requests waiting for a slot")),
      running(make.gauge("stoa_engine_running_requests", "Requests in a slot")),
      kv_used(make.gauge("stoa_engine_kv_used_bytes", "KV cache pages that requests hold")),
      kv_cached(make.gauge("stoa_engine_kv_cached_bytes", "KV cache pages that only the prefix cache holds")),
      kv_size(make.gauge("stoa_engine_kv_size_bytes", "Size of the KV cache")),
      kv_share(make.gauge("stoa_engine_kv_used_ratio", "Share of the KV cache that requests hold, 0 to 1")),
      steps(make.counter("stoa_engine_steps_total", "Forward passes")),
      step_seconds(make.counter("stoa_engine_compute_seconds_total", "Time spent in forward passes and sampling")),
      prompt_computed(make.counter("stoa_engine_prompt_tokens_total", "Prompt tokens computed")),
      prompt_admitted(make.counter("stoa_engine_admitted_prompt_tokens_total", "Prompt tokens of the requests admitted")),
      generated_tokens(make.counter("stoa_engine_generated_tokens_total", "Tokens generated")),
      preemptions(make.counter("stoa_engine_preemptions_total", "Sequences that gave their KV pages back to be computed again")),
      prefix_queries(make.counter("stoa_engine_prefix_cache_queries_total", "Prompt tokens looked for in the prefix cache")),
      prefix_hits(make.counter("stoa_engine_prefix_cache_hits_total", "Prompt tokens found in the prefix cache")),
      drafted(make.counter("stoa_engine_draft_tokens_total", "Tokens guessed and checked")),
      accepted(make.counter("stoa_engine_accepted_draft_tokens_total", "Guessed tokens that were right")),
      refused_full(make.refused("queue_full")),
      refused_wait(make.refused("wait_too_long")),
      refused_deadline(make.refused("deadline")),
      displaced(make.refused("displaced")),
      ended_stop(make.ended("stop")),
      ended_length(make.ended("length")),
      ended_cancelled(make.ended("abort")),
      first_token(make.histogram("gen_ai_server_time_to_first_token_seconds", "From submission to the first token", kFirstTokenBuckets)),
      per_token(make.histogram("gen_ai_server_time_per_output_token_seconds", "Between tokens after the first, mean of a request", kPerTokenBuckets)),
      duration(make.histogram("gen_ai_server_request_duration_seconds", "From submission to the last token", kDurationBuckets)),
      queue_seconds(make.histogram("stoa_engine_queue_seconds", "From submission to a slot", kDurationBuckets)),
      inter_token(make.histogram("stoa_engine_inter_token_seconds", "Between two steps that gave a request text", kPerTokenBuckets)) {}

}  // namespace stoa::models
