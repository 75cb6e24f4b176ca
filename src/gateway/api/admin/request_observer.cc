#include "gateway/api/admin/request_observer.h"

#include "base/error_table.h"

namespace stoa::gateway::admin {
namespace {

feedback::TraceRecord record_of(const FinishedRequest& finished, Trace& trace, const std::string& currency) {
  feedback::TraceRecord record;
  record.trace_id = trace.id();
  record.request_id = finished.request_id;
  record.answer_id = finished.answer_id;
  record.tenant = finished.principal.tenant;
  record.project = finished.principal.project;
  record.principal = finished.principal.id;
  record.user = finished.principal.user;
  record.operation = finished.method + " " + finished.route;
  record.model = finished.model;
  record.start = finished.started;
  record.end = finished.started + finished.duration_micros;
  record.http_status = finished.status;
  if (finished.error) record.error = error_info(finished.error->code).name;
  record.usage = finished.usage;
  record.cost = finished.cost;
  record.currency = currency;
  record.spans = trace.take_records();
  record.input = finished.input;  // kept by the store only where the configuration says so
  record.output = finished.output;
  return record;
}

}  // namespace

RequestObserver observe_requests(feedback::RequestMetrics& metrics, feedback::TraceStore& traces, std::string currency) {
  return [&metrics, &traces, currency = std::move(currency)](const FinishedRequest& finished, Trace& trace) {
    // Requests without a key belong to no project: nobody could look at their traces, and strangers could fill the store.
    if (finished.principal.id.empty()) return;
    metrics.count(finished.model, finished.usage, finished.cost);
    traces.record(record_of(finished, trace, currency));
  };
}

}  // namespace stoa::gateway::admin
