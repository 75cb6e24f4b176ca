// Emission of metrics: counters, gauges and histograms with labels. Exposition is in feedback/telemetry.
// Names follow Prometheus: base units, counters end in _total. Thread-safe; instruments live as long as the registry.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stoa {

using Labels = std::vector<std::pair<std::string, std::string>>;

class Counter {
 public:
  void add(double amount = 1) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void set(double value) { value_.store(value, std::memory_order_relaxed); }
  void add(double amount) { value_.fetch_add(amount, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  explicit Histogram(std::vector<double> upper_bounds);  // ascending; +Inf is implied
  void observe(double value);
  const std::vector<double>& upper_bounds() const { return bounds_; }
  std::vector<std::uint64_t> counts() const;  // one per bound, then +Inf; not cumulative
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  std::vector<double> bounds_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// Owns the instruments of one process. Asking twice for the same name and labels gives the same instrument.
// A family holds at most kMaxSeries label sets: further ones share one series labelled "overflow", so that labels taken from
// requests cannot grow memory without bound.
class Metrics {
 public:
  static constexpr std::size_t kMaxSeries = 1000;

  Counter& counter(std::string_view name, std::string_view help, const Labels& labels = {});
  Gauge& gauge(std::string_view name, std::string_view help, const Labels& labels = {});
  Histogram& histogram(std::string_view name, std::string_view help, const std::vector<double>& bounds, const Labels& labels = {});

  template <class T>
  struct Family {
    std::string help;
    std::map<Labels, std::unique_ptr<T>> series;
  };
  // Calls visit(name, family) for each family under the registry's lock: keep it short.
  template <class Visit>
  void visit(Visit visit) const {
    std::lock_guard lock(mutex_);
    for (const auto& [name, family] : counters_) visit(name, family);
    for (const auto& [name, family] : gauges_) visit(name, family);
    for (const auto& [name, family] : histograms_) visit(name, family);
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, Family<Counter>, std::less<>> counters_;
  std::map<std::string, Family<Gauge>, std::less<>> gauges_;
  std::map<std::string, Family<Histogram>, std::less<>> histograms_;
};

}  // namespace stoa
