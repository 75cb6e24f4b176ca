#include "governance/audit/request_audit.h"

#include <limits>

#include "base/error_table.h"
#include "base/log.h"
#include "contracts/events.h"

namespace stoa::governance {

infra::Subscription request_audit_subscription() {
  infra::Subscription subscription;
  subscription.name = "governance.audit";
  subscription.topics = {std::string(RequestFinished::kTopic)};
  subscription.max_attempts = std::numeric_limits<int>::max();
  return subscription;
}

infra::EventHandler audit_requests(AuditLog& log, AuditCheckpoints& checkpoints) {
  return [&log, &checkpoints](const infra::Event& event) -> Status {
    auto finished = RequestFinished::parse(event.payload);
    if (!finished) {  // would never become readable, and must not hold up those behind it
      log_error("an event is no finished request", finished.error(), {{"sequence", event.sequence}});
      return {};
    }
    AuditEntry entry;
    entry.time = finished->started + finished->duration_micros;
    entry.principal = std::move(finished->principal);
    entry.tenant = std::move(finished->tenant);
    entry.project = std::move(finished->project);
    entry.action = std::move(finished->action);
    entry.resource = std::move(finished->resource);
    entry.request_id = std::move(finished->request_id);
    entry.trace_id = std::move(finished->trace_id);
    entry.reason = std::move(finished->error);
    if (!entry.reason.empty())
      entry.outcome = entry.reason == error_info(ErrorCode::kPermissionDenied).name ? Outcome::kDenied : Outcome::kFailed;
    if (!finished->elevation.empty()) entry.reason = fmt::format("under break-glass {}{}{}", finished->elevation, entry.reason.empty() ? "" : ": ", entry.reason);
    STOA_CHECK(log.append_once(std::move(entry)));
    if (const auto kept_up = checkpoints.keep_up(); !kept_up) log_error("no checkpoint of the audit log was made", kept_up.error());
    return {};
  };
}

}  // namespace stoa::governance
