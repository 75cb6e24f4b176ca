#include "base/metrics.h"

#include <algorithm>

namespace stoa {
namespace {

template <class Families, class Make>
auto& series(Families& families, std::string_view name, std::string_view help, const Labels& labels, Make make) {
  auto& family = families[std::string(name)];
  if (family.help.empty()) family.help = help;
  auto found = family.series.find(labels);
  if (found == family.series.end()) {
    Labels key = labels;
    if (family.series.size() >= Metrics::kMaxSeries)
      for (auto& label : key) label.second = "overflow";
    found = family.series.try_emplace(std::move(key)).first;
    if (!found->second) found->second = make();
  }
  return *found->second;
}

}  // namespace

Histogram::Histogram(std::vector<double> upper_bounds)
    : bounds_(std::move(upper_bounds)), counts_(std::make_unique<std::atomic<std::uint64_t>[]>(bounds_.size() + 1)) {}

void Histogram::observe(double value) {
  const auto bucket = static_cast<std::size_t>(std::ranges::lower_bound(bounds_, value) - bounds_.begin());
  counts_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

std::vector<std::uint64_t> Histogram::counts() const {
  std::vector<std::uint64_t> counts(bounds_.size() + 1);
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = counts_[i].load(std::memory_order_relaxed);
  return counts;
}

Counter& Metrics::counter(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  return series(counters_, name, help, labels, [] { return std::make_unique<Counter>(); });
}

Gauge& Metrics::gauge(std::string_view name, std::string_view help, const Labels& labels) {
  std::lock_guard lock(mutex_);
  return series(gauges_, name, help, labels, [] { return std::make_unique<Gauge>(); });
}

Histogram& Metrics::histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds, const Labels& labels) {
  std::lock_guard lock(mutex_);
  return series(histograms_, name, help, labels, [&] { return std::make_unique<Histogram>(bounds); });
}

}  // namespace stoa
