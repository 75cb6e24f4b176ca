// The way back from use to data: ratings, and datasets.
#include "feedback/ratings/dataset.h"
#include "gateway/api/admin/routes.h"

namespace stoa::gateway::admin {
namespace {

using feedback::Rating;
using governance::Action;

constexpr std::int64_t kMaxRows = 100'000'000;

JsonArray texts_json(const std::vector<std::string>& texts) { return JsonArray(texts.begin(), texts.end()); }

JsonArray messages_json(const std::vector<ChatMessage>& messages) {
  JsonArray out;
  for (const auto& message : messages) out.push_back(JsonObject{{"role", message.role}, {"content", message.content}});
  return out;
}

JsonObject rating_json(const Rating& rating) {
  return {{"id", rating.id},
          {"object", "stoa.rating"},
          {"answer_id", rating.answer_id},
          {"request_id", rating.request_id},
          {"model", rating.model},
          {"scale", feedback::scale_name(rating.scale)},
          {"score", rating.score},
          {"comment", rating.comment},
          {"correction", rating.correction},
          {"messages", messages_json(rating.prompt)},
          {"answer", rating.answer},
          {"citations", texts_json(rating.citations)},
          {"principal", rating.principal},
          {"user", rating.user},
          {"time", to_rfc3339(rating.time)}};
}

Result<std::vector<ChatMessage>> parse_messages(const Fields& body) {
  std::vector<ChatMessage> messages;
  STOA_TRY(list, body.array("messages", 1000));
  if (list == nullptr) return messages;
  for (std::size_t i = 0; i < list->size(); ++i) {
    const auto* object = (*list)[i].if_object();
    const std::string path = fmt::format("messages[{}]", i);
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object with role and content", path).with_param(path));
    const Fields fields(*object, path);
    STOA_TRY(role, fields.required_text("role"));
    STOA_TRY(content, fields.required_text("content"));
    messages.push_back({std::move(role), std::move(content)});
  }
  return messages;
}

Result<Rating> parse_rating(const JsonObject& object) {
  const Fields body(object);
  Rating rating;
  STOA_TRY(answer_id, body.required_text("answer_id"));
  STOA_TRY(score, body.integer("score", -1, 5));
  if (!score) return body.wrong("score", "-1 or 1, or 1 to 5 with \"scale\": \"stars\"; it is required");
  STOA_TRY(scale_text, body.text_or("scale", feedback::scale_name(feedback::RatingScale::kThumbs)));
  STOA_TRY(scale, feedback::parse_scale(scale_text));
  STOA_TRY(comment, body.text_or("comment", ""));
  STOA_TRY(correction, body.text_or("correction", ""));
  STOA_TRY(answer, body.text_or("answer", ""));
  STOA_TRY(model, body.text_or("model", ""));
  STOA_TRY(request_id, body.text_or("request_id", ""));
  STOA_TRY(citations, body.texts("citations", 64));
  STOA_TRY(messages, parse_messages(body));
  rating.answer_id = std::move(answer_id);
  rating.score = static_cast<int>(*score);
  rating.scale = scale;
  rating.comment = std::move(comment);
  rating.correction = std::move(correction);
  rating.answer = std::move(answer);
  rating.model = std::move(model);
  rating.request_id = std::move(request_id);
  rating.citations = std::move(citations);
  rating.prompt = std::move(messages);
  return rating;
}

// A stored answer is known by its id. One that was not stored must come with the rating, question and all.
Status complete(const AdminParts& parts, const Call& call, Rating& rating) {
  if (!rating.answer.empty() && !rating.prompt.empty()) return {};
  Result<AnsweredQuestion> known = parts.answered ? parts.answered(call, rating.answer_id) : fail(ErrorCode::kNotFound, "answers are not stored");
  if (!known) {
    if (known.error().code != ErrorCode::kNotFound) return fail(std::move(known).error());
    return fail(error(ErrorCode::kNotFound, "no stored answer has the id '{}'", rating.answer_id)
                    .with_hint("send \"messages\" and \"answer\" with the rating").with_param("answer_id"));
  }
  rating.prompt = std::move(known->prompt);
  rating.answer = std::move(known->answer);
  rating.model = std::move(known->model);
  rating.request_id = std::move(known->request_id);
  rating.citations = std::move(known->citations);
  return {};
}

Reply rate(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_for(scope, Action::kRatingWrite, "rating"));
  STOA_TRY(body, parse_body(scope.request().body));
  STOA_TRY(rating, parse_rating(body));
  STOA_CHECK(complete(parts, scope.call(), rating));
  STOA_TRY(stored, parts.ratings.rate(permit, std::move(rating)));
  scope.set_answer_id(stored.answer_id);
  return infra::HttpResponse::json(201, dump_json(rating_json(stored)));
}

Status set_selection(std::string_view which, feedback::RatingFilter& filter) {
  if (which == "good") filter.good_only = true;
  else if (which == "bad") filter.bad_only = true;
  else if (which == "corrected") filter.corrected_only = true;
  else if (!which.empty() && which != "all")
    return fail(error(ErrorCode::kInvalidArgument, "'only' cannot be '{}'", which).with_hint("all, good, bad or corrected").with_param("only"));
  return {};
}

Reply list_ratings(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_for(scope, Action::kDatasetRead, "rating"));
  const auto& request = scope.request();
  feedback::RatingFilter filter;
  filter.answer_id = query_text(request, "answer_id");
  filter.model = query_text(request, "model");
  filter.principal = query_text(request, "principal");
  filter.after = query_text(request, "after");
  STOA_CHECK(set_selection(query_text(request, "only"), filter));
  STOA_TRY(from, query_time(request, "from", 0));
  STOA_TRY(until, query_time(request, "until", INT64_MAX));
  STOA_TRY(limit, query_int(request, "limit", 1, 1000, 100));
  filter.from = from;
  filter.until = until;
  filter.limit = static_cast<std::size_t>(limit);
  STOA_TRY(found, parts.ratings.list(permit, filter));
  JsonArray items;
  for (const auto& rating : found) items.push_back(rating_json(rating));
  return ok_json(list_json(std::move(items)));
}

Reply withdraw(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_for(scope, Action::kRatingWrite, "rating"));
  const std::string id(scope.request().path_param("id"));
  STOA_CHECK(parts.ratings.remove(permit, id));
  return ok_json({{"id", id}, {"deleted", true}});
}

JsonObject version_json(const data::DatasetVersion& version) {
  JsonArray schema, shards;
  for (const auto& field : version.schema) schema.push_back(JsonObject{{"name", field.name}, {"type", field.type}});
  for (const auto& shard : version.shards) shards.push_back(JsonObject{{"digest", shard.digest}, {"rows", shard.rows}, {"bytes", shard.bytes}});
  return {{"object", "stoa.dataset_version"}, {"name", version.name},
          {"version", version.id},            {"number", version.number},
          {"rows", version.rows},             {"bytes", version.bytes},
          {"created", to_rfc3339(version.created)}, {"schema", std::move(schema)},
          {"shards", std::move(shards)},      {"parents", texts_json(version.parents)}};
}

Reply from_ratings(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(permit, permit_for(scope, Action::kDatasetWrite, "dataset"));
  STOA_TRY(object, parse_body(scope.request().body));
  const Fields body(object);
  STOA_TRY(name, body.required_text("name"));
  STOA_TRY(only, body.text_or("only", "all"));
  STOA_TRY(model, body.text_or("model", ""));
  feedback::RatingFilter filter;
  filter.model = std::move(model);
  STOA_CHECK(set_selection(only, filter));
  STOA_TRY(version, feedback::dataset_from_ratings(permit, scope.call(), parts.ratings, parts.lake, name, filter));
  return ok_json(version_json(version));
}

Reply list_datasets(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(datasets, parts.lake.list(scope.call()));
  JsonArray items;
  for (const auto& dataset : datasets) {
    STOA_TRY(latest, parts.lake.version(scope.call(), dataset.latest));
    items.push_back(JsonObject{{"name", dataset.name}, {"versions", dataset.versions}, {"version", dataset.latest}, {"rows", latest.rows}, {"created", to_rfc3339(dataset.created)}});
  }
  return ok_json(list_json(std::move(items)));
}

Reply list_versions(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(versions, parts.lake.versions(scope.call(), std::string(scope.request().path_param("name"))));
  JsonArray items;
  for (const auto& version : versions) items.push_back(version_json(version));
  return ok_json(list_json(std::move(items)));
}

Reply one_version(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(version, parts.lake.version(scope.call(), std::string(scope.request().path_param("name"))));
  return ok_json(version_json(version));
}

// Rows as JSON lines, streamed: a dataset may be larger than memory.
Reply rows(const AdminParts& parts, RequestScope& scope) {
  STOA_TRY(offset, query_int(scope.request(), "offset", 0, kMaxRows, 0));
  STOA_TRY(limit, query_int(scope.request(), "limit", 1, kMaxRows, kMaxRows));
  STOA_TRY(version, parts.lake.version(scope.call(), std::string(scope.request().path_param("name"))));
  STOA_CHECK(scope.conclude());  // before the first row is out
  scope.start_stream("application/x-ndjson");
  STOA_CHECK(parts.lake.read(scope.call(), version.id, offset, limit, [&](const std::string& row) -> Result<bool> { return scope.write(row + "\n"); }));
  scope.end_stream();
  return std::nullopt;
}

}  // namespace

Status add_feedback_routes(infra::Router& router, const AdminParts& parts) {
  const auto with = [&parts](Reply (*handler)(const AdminParts&, RequestScope&)) { return [&parts, handler](RequestScope& scope) { return handler(parts, scope); }; };
  Routes ratings(router, parts, "rating"), datasets(router, parts, "dataset");
  STOA_CHECK(ratings.add("POST", "/v1/stoa/ratings", Action::kRatingWrite, with(rate)));
  STOA_CHECK(ratings.add("GET", "/v1/stoa/ratings", Action::kDatasetRead, with(list_ratings)));
  STOA_CHECK(ratings.add("DELETE", "/v1/stoa/ratings/{id}", Action::kRatingWrite, with(withdraw)));
  STOA_CHECK(datasets.add("POST", "/v1/stoa/datasets/from-ratings", Action::kDatasetWrite, with(from_ratings)));
  STOA_CHECK(datasets.add("GET", "/v1/stoa/datasets", Action::kDatasetRead, with(list_datasets)));
  STOA_CHECK(datasets.add("GET", "/v1/stoa/datasets/{name}", Action::kDatasetRead, with(one_version)));
  STOA_CHECK(datasets.add("GET", "/v1/stoa/datasets/{name}/versions", Action::kDatasetRead, with(list_versions)));
  return datasets.add("GET", "/v1/stoa/datasets/{name}/rows", Action::kDatasetRead, with(rows));
}

}  // namespace stoa::gateway::admin
