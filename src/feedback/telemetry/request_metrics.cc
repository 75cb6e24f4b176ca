#include "feedback/telemetry/request_metrics.h"

#include "contracts/events.h"

namespace stoa::feedback {
namespace {

const std::vector<double> kSeconds{0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};

void count(Metrics& metrics, const RequestFinished& request) {
  if (request.model.empty()) return;
  const auto tokens = [&](const char* direction, std::int64_t amount) {
    metrics.counter("stoa_tokens_total", "Tokens processed, by model and direction.", {{"model", request.model}, {"direction", direction}})
        .add(static_cast<double>(amount));
  };
  tokens("input", request.usage.prompt_tokens);
  tokens("output", request.usage.completion_tokens);
  metrics.counter("stoa_compute_seconds_total", "Measured compute time, by model.", {{"model", request.model}})
      .add(static_cast<double>(request.usage.compute_micros) / 1e6);
  metrics.counter("stoa_cost_micro_units_total", "Settled cost in millionths of the currency, by model.", {{"model", request.model}})
      .add(static_cast<double>(request.cost));
  if (request.usage.first_token_micros > 0)
    metrics.histogram("stoa_time_to_first_token_seconds", "From submission of a prompt to its first token.", kSeconds, {{"model", request.model}})
        .observe(static_cast<double>(request.usage.first_token_micros) / 1e6);
}

}  // namespace

infra::Subscription request_metrics_subscription() {
  infra::Subscription subscription;
  subscription.name = "feedback.metrics";
  subscription.topics = {std::string(RequestFinished::kTopic)};
  return subscription;
}

infra::EventHandler count_requests(Metrics& metrics) {
  return [&metrics](const infra::Event& event) -> Status {
    STOA_TRY(request, RequestFinished::parse(event.payload));
    count(metrics, request);
    return {};
  };
}

}  // namespace stoa::feedback
