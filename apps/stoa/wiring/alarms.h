// Alarms that leave the server: what should not wait until somebody looks is posted to a webhook.
#pragma once

#include <string>

#include "infra/bus/bus.h"
#include "infra/http/sender.h"

namespace stoa::wiring {

// The subscriber of alarms. What cannot be delivered is tried again for about ten minutes, over restarts too, and then kept among the dead letters.
infra::Subscription alarms_subscription();

// Posts {"event", "id", "time", "data"} as JSON to `url`; an answer other than 2xx is an error. `way_out` outlives the handler.
infra::EventHandler post_alarms(std::string url, infra::HttpSender& way_out);

}  // namespace stoa::wiring
