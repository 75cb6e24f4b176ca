// When the batches of the caller's project run.
#include "base/time.h"
#include "gateway/api/admin/routes.h"
#include "gateway/batch/batch_desk.h"

namespace stoa::gateway::admin {
namespace {

using governance::Action;

JsonObject window_json(const AdminParts& parts, const BatchWindowVersion& version) {
  const Micros now = parts.clock.now();
  JsonObject out{{"object", "stoa.batch_window"}, {"version", version.version}, {"windows", version.windows.text()}, {"open", version.windows.open(now)},
                 {"next", to_rfc3339(version.windows.next(now))}, {"author", nullptr}, {"time", nullptr}};
  if (version.version > 0) {
    out["author"] = version.author;
    out["time"] = to_rfc3339(version.time);
  }
  return out;
}

Reply show(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(version, parts.batches->store.windows(scope.principal().project));
  return ok_json(window_json(parts, version));
}

Reply set(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(object, parse_body(scope.request().body));
  STOA_TRY(text, Fields(object).text("windows"));
  if (!text) return Fields(object).wrong("windows", "times of the day in UTC such as '22:00-06:00', or empty for always; it is required");
  STOA_TRY(windows, BatchWindows::parse(*text));
  STOA_TRY(version, parts.batches->store.set_windows(scope.call(), windows));
  parts.batches->runner.wake();
  return ok_json(window_json(parts, version));
}

}  // namespace

Status add_batch_routes(infra::Router& router, const AdminParts& parts) {
  if (parts.batches == nullptr) return {};
  Routes routes(router, parts, "project");
  STOA_CHECK(routes.add("GET", "/v1/stoa/batches/window", Action::kModelUse, [&parts](RequestScope& scope) { return show(parts, scope); }));
  return routes.add("PUT", "/v1/stoa/batches/window", Action::kProjectManage, [&parts](RequestScope& scope) { return set(parts, scope); });
}

}  // namespace stoa::gateway::admin
