// What happened: traces, usage and cost.
#include <algorithm>
#include <thread>

#include "feedback/traces/span_tree.h"
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using feedback::TraceRecord;
using feedback::TraceSummary;
using governance::Action;

JsonObject summary_json(const TraceSummary& trace) {
  return {{"trace_id", trace.trace_id},
          {"request_id", trace.request_id},
          {"answer_id", trace.answer_id},
          {"time", to_rfc3339(trace.start)},
          {"duration_ms", millis(trace.end - trace.start)},
          {"principal", trace.principal},
          {"user", trace.user},
          {"operation", trace.operation},
          {"model", trace.model},
          {"status", trace.error.empty() ? "ok" : trace.error},
          {"http_status", trace.http_status},
          {"usage", usage_json(trace.usage)},
          {"cost_micro_usd", trace.cost},
          {"currency", trace.currency}};
}

JsonObject attributes_json(const SpanRecord& span) {
  JsonObject out;
  for (const auto& [key, value] : span.attributes) std::visit([&](const auto& held) { out[key] = held; }, value);
  return out;
}

JsonObject trace_json(const TraceRecord& trace) {
  JsonObject out = summary_json(trace);
  JsonArray spans;
  for (const auto& placed : feedback::span_tree(trace.spans, trace.start, trace.end)) {
    const SpanRecord& span = *placed.span;
    JsonObject item{{"id", span.id},          {"parent_id", span.parent_id},       {"name", span.name},
                    {"depth", placed.depth},  {"offset_ms", millis(placed.offset)}, {"duration_ms", millis(placed.duration)},
                    {"attributes", attributes_json(span)}};
    if (!span.error.empty()) {
      item["error"] = span.error;
      if (placed.depth == 0) out["error"] = span.error;
    }
    spans.push_back(std::move(item));
  }
  out["spans"] = std::move(spans);
  if (!trace.input.empty()) out["input"] = trace.input;
  if (!trace.output.empty()) out["output"] = trace.output;
  return out;
}

constexpr int kLateTraceTries = 5;

// Traces are written behind the requests they tell of; whoever asks right after an answer should find it. A writer that is far behind
// is not waited for.
void settle_traces(const AdminParts& parts) { static_cast<void>(parts.traces.flush(Deadline::after(milliseconds(500)))); }

// Of any project for who reaches into all of them, else of the caller's own.
Result<governance::Permit> trace_permit(RequestScope& scope, std::string_view id) {
  governance::Resource trace = governance::Resource::of(scope.principal(), "trace", std::string(id));
  governance::Resource anywhere = trace;
  anywhere.project.clear();
  return scope.allow(Action::kTraceRead, scope.may(Action::kTraceRead, anywhere) ? anywhere : trace);
}

Reply one_trace(const AdminParts& parts, RequestScope& scope) {
  const std::string_view id = scope.request().path_param("id");
  STOA_TRY(permit, trace_permit(scope, id));
  auto trace = parts.traces.get(permit, id);
  // The last byte of an answer may be read before the thread that sent it has recorded the trace.
  for (int tries = 0; !trace && trace.error().code == ErrorCode::kNotFound && tries < kLateTraceTries; ++tries) {
    std::this_thread::sleep_for(milliseconds(20));
    settle_traces(parts);
    trace = parts.traces.get(permit, id);
  }
  if (!trace) return fail(std::move(trace.error()));
  return ok_json(trace_json(*trace));
}

Reply list_traces(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_for(scope, Action::kTraceRead, "trace"));
  const auto& request = scope.request();
  feedback::TraceQuery query;
  query.principal = query_text(request, "principal");
  query.model = query_text(request, "model");
  query.operation = query_text(request, "operation");
  query.before = query_text(request, "before");
  query.failed_only = query_text(request, "failed") == "true";
  query.work_only = query_text(request, "work") == "true";
  STOA_TRY(from, query_time(request, "from", 0));
  STOA_TRY(until, query_time(request, "until", INT64_MAX));
  STOA_TRY(limit, query_int(request, "limit", 1, 1000, 50));
  query.from = from;
  query.until = until;
  query.limit = static_cast<std::size_t>(limit);
  settle_traces(parts);
  STOA_TRY(found, parts.traces.query(permit, query));
  JsonArray items;
  for (const auto& trace : found) items.push_back(summary_json(trace));
  return ok_json(list_json(std::move(items)));
}

Result<governance::UsageGroup> parse_group(std::string_view name) {
  using enum governance::UsageGroup;
  constexpr std::pair<std::string_view, governance::UsageGroup> kGroups[] = {
      {"none", kNone}, {"project", kProject}, {"principal", kPrincipal}, {"model", kModel}, {"day", kDay}, {"kind", kKind}, {"tags", kTags}, {"class", kPriceClass}};
  for (const auto& [known, group] : kGroups)
    if (name == known) return group;
  return fail(error(ErrorCode::kInvalidArgument, "usage cannot be grouped by '{}'", name).with_hint("none, project, principal, model, day, kind, tags or class").with_param("by"));
}

// That the project is one the caller may know of: its budget is found by its id alone.
Status check_project(const AdminParts& parts, const RequestScope& scope, const std::string& project) {
  if (project == scope.principal().project) return {};
  STOA_TRY(known, parts.identity.projects(scope.call()));
  if (std::ranges::find(known, project, &governance::Project::id) != known.end()) return {};
  return fail(error(ErrorCode::kNotFound, "there is no project '{}'", project).with_param("project"));
}

Reply usage(const AdminParts& parts, RequestScope& scope) {
  const auto& request = scope.request();
  governance::UsageQuery query;
  query.tenant = scope.principal().tenant;
  query.project = query_text(request, "project");
  if (query.project.empty()) query.project = scope.principal().project;
  STOA_CHECK(check_project(parts, scope, query.project));
  STOA_CHECK(scope.allow(Action::kUsageRead, governance::Resource{.tenant = query.tenant, .project = query.project, .kind = "usage", .hidden = true}));
  query.tag = query_text(request, "tag");
  const std::string by = query_text(request, "by");
  STOA_TRY(group, parse_group(by.empty() ? "model" : by));
  query.by = group;
  query.principal = query_text(request, "principal");
  query.model = query_text(request, "model");
  STOA_TRY(from, query_time(request, "from", 0));
  STOA_TRY(until, query_time(request, "until", INT64_MAX));
  query.from = from;
  query.until = until;
  STOA_TRY(totals, parts.ledger.usage(query));
  STOA_TRY(budget, parts.ledger.budget(query.project));
  JsonArray items;
  for (const auto& total : totals)
    items.push_back(JsonObject{{"key", total.group},
                               {"requests", total.requests},
                               {"prompt_tokens", total.input_tokens},
                               {"cached_tokens", total.cached_tokens},
                               {"completion_tokens", total.output_tokens},
                               {"compute_micros", total.compute_micros},
                               {"cost_micro_usd", total.cost}});
  JsonObject out = list_json(std::move(items));
  out["currency"] = parts.ledger.prices().currency();
  out["budget"] = JsonObject{{"limit_micro_usd", budget.limit ? Json(*budget.limit) : Json(nullptr)}, {"spent_micro_usd", budget.spent}, {"reserved_micro_usd", budget.reserved}};
  return ok_json(out);
}

}  // namespace

Status add_observe_routes(infra::Router& router, const AdminParts& parts) {
  Routes traces(router, parts, "trace"), usages(router, parts, "usage");
  STOA_CHECK(traces.add("GET", "/v1/stoa/traces", Action::kTraceRead, [&parts](RequestScope& scope) { return list_traces(parts, scope); }));
  STOA_CHECK(traces.add("GET", "/v1/stoa/traces/{id}", Action::kTraceRead, [&parts](RequestScope& scope) { return one_trace(parts, scope); }));
  return usages.add("GET", "/v1/stoa/usage", Action::kUsageRead, [&parts](RequestScope& scope) { return usage(parts, scope); });
}

}  // namespace stoa::gateway::admin
