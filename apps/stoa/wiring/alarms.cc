#include "wiring/alarms.h"

#include <chrono>

#include "base/json.h"
#include "base/time.h"
#include "governance/identity/elevations.h"

namespace stoa::wiring {

using namespace std::chrono_literals;

infra::Subscription alarms_subscription() {
  infra::Subscription subscription;
  subscription.name = "governance.alarms";
  subscription.topics = {std::string(governance::kBreakGlassTopic)};
  subscription.max_attempts = 10;
  subscription.first_pause = 1s;
  subscription.max_pause = 120s;
  return subscription;
}

infra::EventHandler post_alarms(std::string url, infra::HttpSender& way_out) {
  return [url = std::move(url), &way_out](const infra::Event& event) -> Status {
    STOA_TRY(data, parse_json(event.payload));
    infra::HttpClientRequest request{.method = "POST", .url = url};
    request.headers.set("content-type", "application/json");
    request.body = dump_json(JsonObject{{"event", event.topic}, {"id", event.key}, {"time", to_rfc3339(event.time)}, {"data", std::move(data)}});
    request.timeouts = {.connect = 5s, .first_byte = 10s, .idle = 10s, .total = 15s};
    request.max_body = 64u << 10;
    STOA_TRY(response, way_out.send(request));
    if (response.status / 100 == 2) return {};
    return fail(error(ErrorCode::kUnavailable, "alarms.webhook: the receiver answered with status {}", response.status).with_hint("check what receives alarms"));
  };
}

}  // namespace stoa::wiring
