#include "governance/passport/answer_events.h"

#include <limits>

#include "base/log.h"
#include "contracts/events.h"

namespace stoa::governance {

infra::Subscription answer_records_subscription() {
  infra::Subscription subscription;
  subscription.name = "governance.passport";
  subscription.topics = {std::string(RequestFinished::kTopic)};
  subscription.max_attempts = std::numeric_limits<int>::max();
  return subscription;
}

infra::StoreHandler keep_answers(PassportStore& store) {
  return [&store](infra::SqlTransaction& transaction, const infra::Event& event) -> Status {
    auto finished = RequestFinished::parse(event.payload);
    if (!finished) {  // would never become readable, and must not hold up those behind it
      log_error("an event is no finished request", finished.error(), {{"sequence", event.sequence}});
      return {};
    }
    if (finished->answer.empty()) return {};
    return store.keep(transaction, {std::move(finished->answer_id), std::move(finished->tenant), std::move(finished->project), std::move(finished->principal),
                                    std::move(finished->request_id), std::move(finished->trace_id), finished->started, std::move(finished->answer)});
  };
}

}  // namespace stoa::governance
