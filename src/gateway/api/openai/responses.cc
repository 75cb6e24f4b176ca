#include "gateway/api/openai/responses.h"

#include <algorithm>

#include "gateway/api/openai/paging.h"
#include "gateway/api/openai/response_run.h"
#include "gateway/api/openai/responses_json.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

std::string id_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

Reply create(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_response_call(body));
  return ResponseRun(d, scope, std::move(call)).run();
}

Reply show(const Dependencies& d, RequestScope& scope) {
  if (scope.request().query_param("stream").value_or("false") != "false")
    return fail(error(ErrorCode::kInvalidArgument, "a stored response is not streamed again").with_param("stream").with_hint("leave 'stream' out"));
  STOA_TRY(stored, d.responses.find(scope.principal(), id_of(scope)));
  return ok_json(stored.response);
}

Reply remove(const Dependencies& d, RequestScope& scope) {
  STOA_CHECK(d.responses.remove(scope.principal(), id_of(scope)));
  JsonObject out;
  out["id"] = id_of(scope);
  out["object"] = "response";
  out["deleted"] = true;
  return ok_json(out);
}

Reply cancel(const Dependencies& d, RequestScope& scope) {
  STOA_CHECK(d.responses.find(scope.principal(), id_of(scope)));
  return fail(error(ErrorCode::kInvalidArgument, "only background responses can be cancelled, and '{}' is complete", id_of(scope))
                  .with_hint("to stop a running response, close its connection"));
}

Reply input_items(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(stored, d.responses.find(scope.principal(), id_of(scope)));
  JsonArray items = std::move(stored.input);
  if (!page.ascending) std::ranges::reverse(items);
  JsonArray out;
  bool reached = page.after.empty(), more = false;
  for (Json& item : items) {
    if (!reached) {
      reached = item.at("id").as_string() == page.after;
      continue;
    }
    more = out.size() == page.limit;
    if (more) break;
    out.push_back(std::move(item));
  }
  return ok_json(page_json(std::move(out), more));
}

}  // namespace

Status register_responses(infra::Router& router, const Dependencies& d) {
  const auto add = [&](const char* method, const char* pattern, auto handler) {
    // The least right a response needs; using a model is decided on inside.
    return d.pipeline.route(router, method, pattern, Action::kDocumentRead, "response", error_response,
                            [&d, handler](RequestScope& scope) { return handler(d, scope); });
  };
  STOA_CHECK(add("POST", "/v1/responses", create));
  STOA_CHECK(add("GET", "/v1/responses/{id}", show));
  STOA_CHECK(add("DELETE", "/v1/responses/{id}", remove));
  STOA_CHECK(add("POST", "/v1/responses/{id}/cancel", cancel));
  return add("GET", "/v1/responses/{id}/input_items", input_items);
}

}  // namespace stoa::gateway::openai
