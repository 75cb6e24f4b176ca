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
  Labels own, twin;

  Counter& counter(const char* name, const char* help) const { return m.counter(name, help, own); }
  Counter& refused(const char* reason) const {
    return m.counter("stoa_engine_refused_requests_total", "Requests refused instead of being queued, by reason", {own[0], {"reason", reason}});
  }
  Counter& success(const char* reason) const {
    return m.counter("vllm:request_success_total", "Requests answered, by reason of their end", {twin[0], {"finished_reason", reason}});
  }
  Gauge& gauge(const char* name, const char* help) const { return m.gauge(name, help, own); }
  TwinCounter counters(const char* name, const char* other, const char* help) const { return {m.counter(name, help, own), m.counter(other, help, twin)}; }
  TwinGauge gauges(const char* name, const char* other, const char* help) const { return {m.gauge(name, help, own), m.gauge(other, help, twin)}; }
  TwinHistogram histograms(const char* name, const char* other, const char* help, const std::vector<double>& bounds) const {
    return {m.histogram(name, help, bounds, own), m.histogram(other, help, bounds, twin)};
  }
};

EngineMetrics::EngineMetrics(Metrics& metrics, const std::string& model)
    : EngineMetrics(Maker{metrics, {{"model", model}}, {{"model_name", model}}}) {}

EngineMetrics::EngineMetrics(const Maker& make)
    : queued(make.gauges("stoa_engine_queue_depth", "vllm:num_requests_waiting", "Requests waiting for a slot")),
      running(make.gauges("stoa_engine_running_requests", "vllm:num_requests_running", "Requests in a slot")),
      kv_used(make.gauge("stoa_engine_kv_used_bytes", "KV cache pages that requests hold")),
      kv_cached(make.gauge("stoa_engine_kv_cached_bytes", "KV cache pages that only the prefix cache holds")),
      kv_size(make.gauge("stoa_engine_kv_size_bytes", "Size of the KV cache")),
      kv_share(make.m.gauge("vllm:kv_cache_usage_perc", "Share of the KV cache that requests hold, 0 to 1", make.twin)),
      steps(make.counter("stoa_engine_steps_total", "Forward passes")),
      step_seconds(make.counter("stoa_engine_compute_seconds_total", "Time spent in forward passes and sampling")),
      prompt_computed(make.counter("stoa_engine_prompt_tokens_total", "Prompt tokens computed")),
      prompt_tokens(make.m.counter("vllm:prompt_tokens_total", "Prompt tokens of the requests admitted", make.twin)),
      generated_tokens(make.counters("stoa_engine_generated_tokens_total", "vllm:generation_tokens_total", "Tokens generated")),
      preemptions(make.counters("stoa_engine_preemptions_total", "vllm:num_preemptions_total",
                                "Sequences that gave their KV pages back to be computed again")),
      prefix_queries(make.counters("stoa_engine_prefix_cache_queries_total", "vllm:prefix_cache_queries_total",
                                   "Prompt tokens looked for in the prefix cache")),
      prefix_hits(make.counters("stoa_engine_prefix_cache_hits_total", "vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache")),
      drafted(make.counters("stoa_engine_draft_tokens_total", "vllm:spec_decode_num_draft_tokens_total", "Tokens guessed and checked")),
      accepted(make.counters("stoa_engine_accepted_draft_tokens_total", "vllm:spec_decode_num_accepted_tokens_total", "Guessed tokens that were right")),
      refused_full(make.refused("queue_full")),
      refused_wait(make.refused("wait_too_long")),
      refused_deadline(make.refused("deadline")),
      displaced(make.refused("displaced")),
      success_stop(make.success("stop")),
      success_length(make.success("length")),
      success_cancelled(make.success("abort")),
      first_token(make.histograms("gen_ai_server_time_to_first_token_seconds", "vllm:time_to_first_token_seconds",
                                  "From submission to the first token", kFirstTokenBuckets)),
      per_token(make.histograms("gen_ai_server_time_per_output_token_seconds", "vllm:request_time_per_output_token_seconds",
                                "Between tokens after the first, mean of a request", kPerTokenBuckets)),
      duration(make.histograms("gen_ai_server_request_duration_seconds", "vllm:e2e_request_latency_seconds", "From submission to the last token",
                               kDurationBuckets)),
      queue_seconds(make.m.histogram("vllm:request_queue_time_seconds", "From submission to a slot", kDurationBuckets, make.twin)),
      inter_token(make.m.histogram("vllm:inter_token_latency_seconds", "Between two steps that gave a request text", kPerTokenBuckets, make.twin)) {}

}  // namespace stoa::models
