#include "gateway/api/openai/responses.h"

#include <algorithm>
#include <charconv>

#include "base/id.h"
#include "gateway/api/openai/background.h"
#include "gateway/api/openai/paging.h"
#include "gateway/api/openai/response_run.h"
#include "gateway/api/openai/responses_json.h"

namespace stoa::gateway::openai {
namespace {

using governance::Action;

constexpr milliseconds kFollow{1'000};
constexpr std::size_t kMostSequence = 1u << 30;

std::string id_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }

bool in_background(const Dependencies& d, const JsonObject& response) {
  const Json* background = find(response, "background");
  return d.background != nullptr && background != nullptr && background->is_bool() && background->get_bool();
}

// The events of a background response from number `from` on, until its last.
Reply follow(const Dependencies& d, RequestScope& scope, const std::string& id, std::size_t from) {
  STOA_CHECK(scope.conclude());  // before anything of it is shown
  scope.start_stream("text/event-stream; charset=utf-8");
  while (true) {
    STOA_TRY(next, d.background->follow(scope.principal(), id, from, kFollow));  // on an error the stream is cut
    for (const std::string& event : next.events)
      if (!scope.write(event)) return fail(ErrorCode::kCancelled, "the client went away");
    from += next.events.size();
    if (next.ended) break;
    if (scope.call().cancel.cancelled()) return fail(ErrorCode::kCancelled, "the client went away");
    if (scope.call().deadline.passed()) return fail(ErrorCode::kDeadlineExceeded, "the response takes longer than one request may: take its stream up with starting_after");
  }
  scope.end_stream();
  return std::nullopt;
}

// What is wrong with it is said at once where that can be known.
Reply begin(const Dependencies& d, RequestScope& scope, ResponseCall call) {
  if (d.background == nullptr) return fail(error(ErrorCode::kUnsupported, "this server makes no responses in the background").with_param("background"));
  if (call.request.model.empty()) {
    const ServedModel* own_choice = d.models.default_generator();
    call.request.model = own_choice != nullptr ? own_choice->id : "extractive";
  } else if (!call.extractive) {
    STOA_CHECK(d.models.generator(call.request.model, scope.principal().project));
  }
  if (!call.previous_response_id.empty()) STOA_CHECK(d.responses.history(scope.principal(), call.previous_response_id));
  ResponseRecord record;
  record.id = new_id("resp");
  record.created = scope.started() / 1'000'000;
  record.status = ResponseStatus::kQueued;
  StoredResponse queued{.id = record.id, .previous = call.previous_response_id, .response = response_json(call, record), .input = input_items_json(call.request.messages)};
  STOA_CHECK(d.background->begin(scope.call(), queued, scope.request().body));
  if (call.stream) return follow(d, scope, record.id, 0);
  return ok_json(queued.response);
}

Reply create(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(call, parse_response_call(body));
  if (call.background && scope.inside() == nullptr) return begin(d, scope, std::move(call));
  return ResponseRun(d, scope, std::move(call)).run();
}

// What a stored response looks like now.
JsonObject shown(const Dependencies& d, JsonObject response) {
  const Json* status = find(response, "status");
  if (status != nullptr && status->is_string() && status->get_string() == "queued" && d.background->runs(std::string(response.at("id").as_string()))) response["status"] = "in_progress";
  return response;
}

Reply show(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(stored, d.responses.find(scope.principal(), id_of(scope)));
  const bool background = in_background(d, stored.response);
  if (scope.request().query_param("stream").value_or("false") == "false") return ok_json(background ? shown(d, std::move(stored.response)) : stored.response);
  if (!background)
    return fail(error(ErrorCode::kInvalidArgument, "only responses that were made in the background are streamed again").with_param("stream").with_hint("leave 'stream' out"));
  std::size_t from = 0;
  if (const auto after = scope.request().query_param("starting_after")) {
    const auto [end, code] = std::from_chars(after->data(), after->data() + after->size(), from);
    if (code != std::errc() || end != after->data() + after->size() || from > kMostSequence)
      return fail(error(ErrorCode::kInvalidArgument, "'starting_after' must be the sequence_number of an event").with_param("starting_after"));
    ++from;
  }
  return follow(d, scope, stored.id, from);
}

Reply remove(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(stored, d.responses.find(scope.principal(), id_of(scope)));
  if (in_background(d, stored.response)) {
    d.background->cancel(stored.id);
    STOA_CHECK(d.background->remove(stored.id));
  }
  STOA_CHECK(d.responses.remove(scope.principal(), id_of(scope)));
  JsonObject out;
  out["id"] = id_of(scope);
  out["object"] = "response";
  out["deleted"] = true;
  return ok_json(out);
}

Reply cancel(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(stored, d.responses.find(scope.principal(), id_of(scope)));
  if (in_background(d, stored.response)) {
    d.background->cancel(stored.id);  // of one that has ended: nothing
    STOA_TRY(ended, d.responses.find(scope.principal(), stored.id));
    return ok_json(shown(d, std::move(ended.response)));
  }
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
