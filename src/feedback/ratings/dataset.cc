#include "feedback/ratings/dataset.h"

#include <optional>

#include "base/json.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kPage = 500;

std::string row_of(const Rating& rating) {
  JsonArray messages;
  for (const auto& message : rating.prompt) messages.push_back(JsonObject{{"role", message.role}, {"content", message.content}});
  JsonObject row{{"messages", std::move(messages)},
                 {"answer", rating.answer},
                 {"rating", JsonObject{{"scale", scale_name(rating.scale)}, {"score", rating.score}, {"good", rating.good()}, {"comment", rating.comment}}},
                 {"citations", JsonArray(rating.citations.begin(), rating.citations.end())}};
  if (!rating.correction.empty()) {
    row["chosen"] = rating.correction;
    row["rejected"] = rating.answer;
  }
  row["answer_id"] = rating.answer_id;
  row["request_id"] = rating.request_id;
  row["model"] = rating.model;
  row["time"] = to_rfc3339(rating.time);
  return dump_json(row);
}

}  // namespace

Result<data::DatasetVersion> dataset_from_ratings(const governance::Permit& permit, const Call& call, RatingStore& ratings, data::Lake& lake,
                                                  const std::string& name, RatingFilter filter) {
  filter.after.clear();
  filter.limit = kPage;
  STOA_TRY(first_page, ratings.list(permit, filter));
  if (first_page.empty())
    return fail(error(ErrorCode::kNotFound, "no rating of this project is selected").with_hint("rate answers first: stoa rate ANSWER_ID up|down"));

  // A page at a time, so that memory stays bounded however many ratings there are.
  std::vector<Rating> page = std::move(first_page);
  std::size_t next = 0;
  const auto rows = [&]() -> Result<std::optional<std::string>> {
    if (next == page.size()) {
      if (page.size() < kPage) return std::nullopt;
      filter.after = page.back().id;
      STOA_TRY(more, ratings.list(permit, filter));
      page = std::move(more);
      next = 0;
      if (page.empty()) return std::nullopt;
    }
    return row_of(page[next++]);
  };
  return lake.create_version(call, name, rows);
}

}  // namespace stoa::feedback
