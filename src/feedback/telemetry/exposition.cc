#include "feedback/telemetry/exposition.h"

#include <limits>
#include <sstream>
#include <type_traits>
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

}  // namespace

std::string expose(const Metrics& metrics) {
  std::vector<prometheus::MetricFamily> families;
  metrics.visit([&](const std::string& name, const auto& family) { families.push_back(copy(name, family)); });
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families);
  return std::move(out).str();
}

}  // namespace stoa::feedback
