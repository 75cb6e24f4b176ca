#include "gateway/api/anthropic/batches.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "base/id.h"
#include "gateway/api/anthropic/errors.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::anthropic {
namespace {

using Reply = Result<std::optional<infra::HttpResponse>>;

constexpr Micros kDay = Micros{24} * 3600 * 1'000'000;
constexpr std::size_t kMaxCustomId = 64, kMostBody = 64u << 20, kMostListed = 1000, kResultsAtOnce = 100;

Reply ok_json(const JsonObject& body) { return infra::HttpResponse::json(200, dump_json(body)); }
std::string id_of(const RequestScope& scope) { return std::string(scope.request().path_param("id")); }
Json time_or_null(Micros time) { return time == 0 ? Json(nullptr) : Json(to_rfc3339(time)); }

Result<std::string> parse_custom_id(const Fields& request) {
  STOA_TRY(id, request.required_text("custom_id"));
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
  if (id.size() > kMaxCustomId || !std::ranges::all_of(id, plain)) return request.wrong("custom_id", "1 to 64 letters, digits, '_' and '-'");
  return id;
}

Result<BatchLine> parse_line(std::string_view text) {
  STOA_TRY(json, parse_json(text));
  const JsonObject* object = json.if_object();
  if (object == nullptr) return fail(ErrorCode::kInvalidArgument, "the line is no JSON object");
  const Fields line(*object);
  STOA_TRY(id, parse_custom_id(line));
  STOA_TRY(params, line.object("params"));
  if (params == nullptr) return line.wrong("params", "an object; it is required");
  return BatchLine{std::move(id), "/v1/messages", dump_json(*params)};
}

Result<data::PageRequest> parse_page(const infra::HttpRequest& request) {
  data::PageRequest page;
  page.limit = 20;
  if (const auto limit = request.query_param("limit")) {
    const auto [end, code] = std::from_chars(limit->data(), limit->data() + limit->size(), page.limit);
    if (code != std::errc() || end != limit->data() + limit->size() || page.limit < 1 || page.limit > kMostListed)
      return fail(error(ErrorCode::kInvalidArgument, "limit: has to be a number from 1 to {}", kMostListed).with_param("limit"));
  }
  const auto after = request.query_param("after_id"), before = request.query_param("before_id");
  if (after && before) return fail(error(ErrorCode::kInvalidArgument, "before_id: not beside after_id").with_param("before_id"));
  page.ascending = before.has_value();  // the page before, newest first again once it is read
  page.after = after ? *after : before.value_or("");
  return page;
}

Reply create(const Dependencies& d, RequestScope& scope) {
  STOA_CHECK(check_version(scope.request()));
  STOA_CHECK(d.batches->may_make(scope.principal()));
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(lines, batch_lines(body, d.batches->runner.options().max_lines));
  Batch batch{.id = {}, .dialect = std::string(kBatchDialect), .tenant = {}, .project = {}, .owner = {}, .key = {}};
  STOA_TRY(input, d.batches->store.put_input(scope.principal(), lines));
  batch.input = std::move(input);
  batch.bytes = static_cast<std::int64_t>(lines.size());
  batch.total = std::ranges::count(lines, '\n');
  STOA_TRY(made, d.batches->store.create(scope.call(), "msgbatch", std::move(batch), kDay));
  d.batches->runner.wake();
  return ok_json(batch_json(made, d.public_url));
}

Reply list(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(page, parse_page(scope.request()));
  STOA_TRY(found, d.batches->store.list(scope.principal(), kBatchDialect, page));
  if (page.ascending) std::ranges::reverse(found.items);
  JsonArray data;
  for (const Batch& batch : found.items) data.emplace_back(batch_json(batch, d.public_url));
  JsonObject out{{"has_more", found.more}, {"first_id", nullptr}, {"last_id", nullptr}};
  if (!found.items.empty()) {
    out["first_id"] = found.items.front().id;
    out["last_id"] = found.items.back().id;
  }
  out["data"] = std::move(data);
  return ok_json(out);
}

Reply show(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, d.batches->store.find(scope.principal(), kBatchDialect, id_of(scope)));
  return ok_json(batch_json(batch, d.public_url));
}

Reply cancel(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, d.batches->store.cancel(scope.principal(), kBatchDialect, id_of(scope)));
  d.batches->runner.wake();
  return ok_json(batch_json(batch, d.public_url));
}

Reply remove(const Dependencies& d, RequestScope& scope) {
  STOA_CHECK(d.batches->store.remove(scope.principal(), kBatchDialect, id_of(scope)));
  return ok_json({{"id", id_of(scope)}, {"type", "message_batch_deleted"}});
}

Reply results(const Dependencies& d, RequestScope& scope) {
  STOA_TRY(batch, d.batches->store.find(scope.principal(), kBatchDialect, id_of(scope)));
  if (!has_ended(batch.status)) return fail(error(ErrorCode::kConflict, "the batch '{}' has not ended", batch.id).with_hint("its results are there once its processing_status is 'ended'"));
  STOA_CHECK(scope.conclude());  // before anything of it is shown
  scope.start_stream("application/x-jsonl");
  std::int64_t last = 0;
  for (bool more = true; more;) {
    // Piece by piece: a client that reads slowly holds nothing of the store up.
    std::string piece;
    std::size_t count = 0;
    const auto read = d.batches->store.results(batch, last, [&](const BatchResult& result) -> Result<bool> {
      piece += result_line(result);
      last = result.line;
      return ++count < kResultsAtOnce;
    });
    if (!read) return fail(read.error());  // the stream is cut
    more = count == kResultsAtOnce;
    if (!piece.empty() && !scope.write(piece)) return fail(ErrorCode::kCancelled, "the client went away");
  }
  scope.end_stream();
  return std::nullopt;
}

}  // namespace

BatchDialect batch_dialect() {
  return {.read = [](const Batch&, std::string_view line) { return parse_line(line); }, .finish = {}, .keep_results = true};
}

Result<std::string> batch_lines(const JsonObject& body, std::size_t max_lines) {
  const Fields fields(body);
  STOA_TRY(requests, fields.array("requests", max_lines));
  if (requests == nullptr || requests->empty()) return fields.wrong("requests", "a non-empty list; it is required");
  std::set<std::string, std::less<>> ids;
  std::string lines;
  for (std::size_t i = 0; i < requests->size(); ++i) {
    const std::string path = fmt::format("requests[{}]", i);
    const JsonObject* object = (*requests)[i].if_object();
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    const Fields request(*object, path);
    STOA_TRY(id, parse_custom_id(request));
    if (!ids.insert(id).second) return request.wrong("custom_id", "unique: another request before has this one");
    STOA_TRY(params, request.object("params"));
    if (params == nullptr) return request.wrong("params", "an object; it is required");
    STOA_TRY(streams, Fields(*params, request.path("params")).flag_or("stream", false));
    if (streams) return Fields(*params, request.path("params")).unsupported("stream", "a batch has no use for it: leave it out");
    lines += dump_json(JsonObject{{"custom_id", id}, {"params", *params}}) + "\n";
  }
  return lines;
}

JsonObject batch_json(const Batch& batch, std::string_view public_url) {
  const bool ended = has_ended(batch.status);
  const std::int64_t done = batch.succeeded + batch.failed + batch.cancelled + batch.expired;
  JsonObject out{{"id", batch.id}, {"type", "message_batch"}};
  out["processing_status"] = ended ? "ended" : batch.cancelling > 0 ? "canceling" : "in_progress";
  out["request_counts"] = JsonObject{{"processing", std::max<std::int64_t>(0, batch.total - done)}, {"succeeded", batch.succeeded}, {"errored", batch.failed},
                                     {"canceled", batch.cancelled}, {"expired", batch.expired}};
  out["created_at"] = to_rfc3339(batch.created);
  out["expires_at"] = to_rfc3339(batch.expires);
  out["ended_at"] = time_or_null(ended ? batch.ended : 0);
  out["cancel_initiated_at"] = time_or_null(batch.cancelling);
  out["archived_at"] = nullptr;
  out["results_url"] = ended ? Json(fmt::format("{}/v1/messages/batches/{}/results", public_url, batch.id)) : Json(nullptr);
  return out;
}

std::string result_line(const BatchResult& result) {
  const std::string id = dump_json(Json(result.custom_id));
  const auto line = [&](std::string_view rest) { return fmt::format("{{\"custom_id\":{},\"result\":{{{}}}}}\n", id, rest); };
  if (result.status == BatchResult::kExpired) return line(R"("type":"expired")");
  if (result.status == BatchResult::kCancelled) return line(R"("type":"canceled")");
  if (!result.ran()) return line(R"("type":"errored","error":)" + dump_json(error_json(error(ErrorCode::kUnauthenticated, "{}", result.body), "")));
  return line((result.succeeded() ? R"("type":"succeeded","message":)" : R"("type":"errored","error":)") + result.body);
}

Status register_batches(infra::Router& router, const Dependencies& d) {
  if (d.batches == nullptr) return {};
  const auto add = [&](const char* method, const char* pattern, Reply (*handler)(const Dependencies&, RequestScope&), infra::RouteOptions options = {}) {
    return d.pipeline.route(router, method, pattern, governance::Action::kModelUse, "batch", error_response, [&d, handler](RequestScope& scope) { return handler(d, scope); }, options);
  };
  infra::RouteOptions large;
  large.max_body = std::min<std::uint64_t>(static_cast<std::uint64_t>(d.batches->max_bytes), kMostBody);
  large.body_timeout = std::chrono::minutes(10);
  STOA_CHECK(add("POST", "/v1/messages/batches", create, large));
  STOA_CHECK(add("GET", "/v1/messages/batches", list));
  STOA_CHECK(add("GET", "/v1/messages/batches/{id}", show));
  STOA_CHECK(add("POST", "/v1/messages/batches/{id}/cancel", cancel));
  STOA_CHECK(add("DELETE", "/v1/messages/batches/{id}", remove));
  return add("GET", "/v1/messages/batches/{id}/results", results);
}

}  // namespace stoa::gateway::anthropic
