// What requests used and cost, as metrics.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/metrics.h"
#include "contracts/chat.h"

namespace stoa::feedback {

// stoa_tokens_total, stoa_compute_seconds_total and stoa_cost_micro_units_total by model, and the time to the first token. Thread-safe.
class RequestMetrics {
 public:
  explicit RequestMetrics(Metrics& metrics) : metrics_(metrics) {}  // which outlives it

  // `cost` in micro-units. Work without a model is not counted.
  void count(std::string_view model, const Usage& usage, std::int64_t cost);

 private:
  struct OfModel {
    Counter &input, &output, &compute, &cost;
    Histogram* first_token = nullptr;  // once there was one
  };
  OfModel& of(const std::string& model);

  Metrics& metrics_;
  std::mutex mutex_;
  std::map<std::string, OfModel, std::less<>> models_;  // finding instruments by their labels takes longer than counting
};

}  // namespace stoa::feedback
