#include "feedback/telemetry/exposition.h"

#include <algorithm>
#include <limits>
#include <sstream>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace stoa::feedback {
namespace {

prometheus::ClientMetric::Histogram copy(const Histogram& histogram) {
  prometheus::ClientMetric::Histogram out;
  const auto& bounds = histogram.upper_bounds();
  const auto counts = histogram.counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    out.sample_count += counts[i];
    out.bucket.push_back({out.sample_count, i < bounds.size() ? bounds[i] : std::numeric_limits<double>::infinity()});
  }
  out.sample_sum = histogram.sum();
  return out;
}

template <class Instrument>
prometheus::MetricFamily copy(const std::string& name, const Metrics::Family<Instrument>& family) {
  prometheus::MetricFamily out;
  out.name = name;
  out.help = family.help;
  for (const auto& [labels, instrument] : family.series) {
    prometheus::ClientMetric metric;
    for (const auto& [key, value] : labels) metric.label.push_back({key, value});
    if constexpr (std::is_same_v<Instrument, Counter>) {
      out.type = prometheus::MetricType::Counter;
      metric.counter.value = instrument->value();
    } else if constexpr (std::is_same_v<Instrument, Gauge>) {
      out.type = prometheus::MetricType::Gauge;
      metric.gauge.value = instrument->value();
    } else {
      out.type = prometheus::MetricType::Histogram;
      metric.histogram = copy(*instrument);
    }
    out.metric.push_back(std::move(metric));
  }
  return out;
}

// Own name and vLLM's. Where its label is called otherwise, copies have that name too.
constexpr std::pair<std::string_view, std::string_view> kRouterNames[] = {
    {"gen_ai_server_request_duration_seconds", "vllm:e2e_request_latency_seconds"},
    {"gen_ai_server_time_per_output_token_seconds", "vllm:request_time_per_output_token_seconds"},
    {"gen_ai_server_time_to_first_token_seconds", "vllm:time_to_first_token_seconds"},
    {"stoa_engine_accepted_draft_tokens_total", "vllm:spec_decode_num_accepted_tokens_total"},
    {"stoa_engine_admitted_prompt_tokens_total", "vllm:prompt_tokens_total"},
    {"stoa_engine_draft_tokens_total", "vllm:spec_decode_num_draft_tokens_total"},
    {"stoa_engine_finished_requests_total", "vllm:request_success_total"},
    {"stoa_engine_generated_tokens_total", "vllm:generation_tokens_total"},
    {"stoa_engine_inter_token_seconds", "vllm:inter_token_latency_seconds"},
    {"stoa_engine_kv_used_ratio", "vllm:kv_cache_usage_perc"},
    {"stoa_engine_preemptions_total", "vllm:num_preemptions_total"},
    {"stoa_engine_prefix_cache_hits_total", "vllm:prefix_cache_hits_total"},
    {"stoa_engine_prefix_cache_queries_total", "vllm:prefix_cache_queries_total"},
    {"stoa_engine_queue_depth", "vllm:num_requests_waiting"},
    {"stoa_engine_queue_seconds", "vllm:request_queue_time_seconds"},
    {"stoa_engine_running_requests", "vllm:num_requests_running"},
};

prometheus::MetricFamily renamed(prometheus::MetricFamily family, std::string_view name) {
  family.name = name;
  for (auto& metric : family.metric)
    for (auto& label : metric.label)
      if (label.name == "model") label.name = "model_name";
  return family;
}

}  // namespace

std::string expose(const Metrics& metrics, MetricNames names) {
  std::vector<prometheus::MetricFamily> families;
  metrics.visit([&](const std::string& name, const auto& family) { families.push_back(copy(name, family)); });
  if (names == MetricNames::kRouters) {
    for (std::size_t i = 0, own = families.size(); i < own; ++i) {
      const auto* other = std::ranges::find(kRouterNames, families[i].name, &std::pair<std::string_view, std::string_view>::first);
      if (other != std::end(kRouterNames)) families.push_back(renamed(families[i], other->second));
    }
  }
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace stoa::feedback
