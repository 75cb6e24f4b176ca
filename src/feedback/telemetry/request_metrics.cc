#include "feedback/telemetry/request_metrics.h"

#include <vector>

namespace stoa::feedback {
namespace {

const std::vector<double> kSeconds{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};
constexpr const char* kOverflow = "overflow";  // as Metrics calls what is beyond its limit

}  // namespace

RequestMetrics::OfModel& RequestMetrics::of(const std::string& model) {
  if (const auto known = models_.find(model); known != models_.end()) return known->second;
  if (models_.size() >= Metrics::kMaxSeries && model != kOverflow) return of(kOverflow);
  const auto tokens = [&](const char* direction) -> Counter& {
    return metrics_.counter("stoa_tokens_total", "Tokens processed, by model and direction.", {{"model", model}, {"direction", direction}});
  };
  return models_
      .emplace(model, OfModel{tokens("input"), tokens("output"), metrics_.counter("stoa_compute_seconds_total", "Measured compute time, by model.", {{"model", model}}),
                              metrics_.counter("stoa_cost_micro_units_total", "Settled cost in millionths of the currency, by model.", {{"model", model}})})
      .first->second;
}

void RequestMetrics::count(std::string_view model, const Usage& usage, std::int64_t cost) {
  if (model.empty()) return;
  std::lock_guard lock(mutex_);
  OfModel& counted = of(std::string(model));
  counted.input.add(static_cast<double>(usage.prompt_tokens));
  counted.output.add(static_cast<double>(usage.completion_tokens));
  counted.compute.add(static_cast<double>(usage.compute_micros) / 1e6);
  counted.cost.add(static_cast<double>(cost));
  if (usage.first_token_micros <= 0) return;
  if (counted.first_token == nullptr)
    counted.first_token = &metrics_.histogram("stoa_time_to_first_token_seconds", "From submission of a prompt to its first token.", kSeconds, {{"model", std::string(model)}});
  counted.first_token->observe(static_cast<double>(usage.first_token_micros) / 1e6);
}

}  // namespace stoa::feedback
