#include "feedback/ratings/rating_store.h"

#include <algorithm>
#include <array>

#include "base/id.h"
#include "base/json.h"
#include "base/utf8.h"

namespace stoa::feedback {
namespace {

constexpr std::size_t kMaxPage = 10'000;
constexpr std::size_t kMaxId = 128;
constexpr std::size_t kMaxComment = 4u << 10;
constexpr std::size_t kMaxCorrection = 64u << 10;
constexpr std::size_t kMaxPrompt = 1u << 20;
constexpr std::size_t kMaxMessages = 1000;
constexpr std::size_t kMaxAnswer = 256u << 10;
constexpr std::size_t kMaxCitations = 64;

constexpr std::array kMigrations{infra::Migration{1, R"sql(
CREATE TABLE ratings (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL, project TEXT NOT NULL, principal TEXT NOT NULL, user TEXT NOT NULL,
  answer_id TEXT NOT NULL, request_id TEXT NOT NULL, model TEXT NOT NULL,
  scale TEXT NOT NULL, score INTEGER NOT NULL,
  comment TEXT NOT NULL, correction TEXT NOT NULL,
  prompt TEXT NOT NULL,     -- JSON: [{"role": ..., "content": ...}, ...]
  answer TEXT NOT NULL,
  citations TEXT NOT NULL,  -- JSON: ["chunk_...", ...]
  time INTEGER NOT NULL,
  UNIQUE (project, principal, answer_id)
);
CREATE INDEX ratings_by_project ON ratings (project, id);
)sql"},
                                 // What people wrote goes into `sealed`.
                                 infra::Migration{2, R"sql(
ALTER TABLE ratings ADD COLUMN sealed BLOB;
ALTER TABLE ratings ADD COLUMN corrected INTEGER NOT NULL DEFAULT 0;
UPDATE ratings SET corrected = 1 WHERE correction <> '';
)sql"}};

constexpr std::string_view kColumns =
    "id, tenant, project, principal, user, answer_id, request_id, model, scale, score, time, corrected, sealed";

Status check_text(std::string_view field, std::string_view text, std::size_t limit, bool required) {
  if (required && text.empty()) return fail(error(ErrorCode::kInvalidArgument, "{} must not be empty", field).with_param(std::string(field)));
  if (text.size() > limit)
    return fail(error(ErrorCode::kInvalidArgument, "{} has {} bytes; at most {} are kept", field, text.size(), limit).with_param(std::string(field)));
  if (!is_valid_utf8(text)) return fail(error(ErrorCode::kInvalidArgument, "{} is not valid UTF-8", field).with_param(std::string(field)));
  return {};
}

Status check_score(const Rating& rating) {
  if (rating.scale == RatingScale::kThumbs && rating.score != -1 && rating.score != 1)
    return fail(error(ErrorCode::kInvalidArgument, "a score on the scale thumbs is -1 or 1, not {}", rating.score)
                    .with_hint("for 1 to 5 name the scale stars").with_param("score"));
  if (rating.scale == RatingScale::kStars && (rating.score < 1 || rating.score > 5))
    return fail(error(ErrorCode::kInvalidArgument, "a score on the scale stars is 1 to 5, not {}", rating.score).with_param("score"));
  return {};
}

Status check(const Rating& rating) {
  STOA_CHECK(check_text("answer_id", rating.answer_id, kMaxId, true));
  if (!std::ranges::all_of(rating.answer_id, [](unsigned char c) { return c > ' ' && c < 0x7f; }))
    return fail(error(ErrorCode::kInvalidArgument, "answer_id must be printable ASCII without spaces").with_param("answer_id"));
  STOA_CHECK(check_score(rating));
  STOA_CHECK(check_text("request_id", rating.request_id, kMaxId, false));
  STOA_CHECK(check_text("model", rating.model, kMaxId, false));
  STOA_CHECK(check_text("comment", rating.comment, kMaxComment, false));
  STOA_CHECK(check_text("correction", rating.correction, kMaxCorrection, false));
  STOA_CHECK(check_text("answer", rating.answer, kMaxAnswer, true));
  if (rating.prompt.empty() || rating.prompt.size() > kMaxMessages)
    return fail(error(ErrorCode::kInvalidArgument, "prompt has {} messages; 1 to {} are allowed", rating.prompt.size(), kMaxMessages).with_param("prompt"));
  std::size_t bytes = 0;
  for (const auto& message : rating.prompt) {
    STOA_CHECK(check_text("prompt", message.role, kMaxId, true));
    STOA_CHECK(check_text("prompt", message.content, kMaxPrompt, false));
    bytes += message.content.size();
  }
  if (bytes > kMaxPrompt) return fail(error(ErrorCode::kInvalidArgument, "prompt has {} bytes; at most {} are kept", bytes, kMaxPrompt).with_param("prompt"));
  if (rating.citations.size() > kMaxCitations)
    return fail(error(ErrorCode::kInvalidArgument, "there are {} citations; at most {} are kept", rating.citations.size(), kMaxCitations).with_param("citations"));
  for (const auto& citation : rating.citations) STOA_CHECK(check_text("citations", citation, kMaxId, true));
  return {};
}

std::string encode(const std::vector<ChatMessage>& messages) {
  JsonArray array;
  for (const auto& message : messages) array.push_back(JsonObject{{"role", message.role}, {"content", message.content}});
  return dump_json(array);
}
std::string encode(const std::vector<std::string>& texts) {
  return dump_json(JsonArray(texts.begin(), texts.end()));
}

Status damaged(const Rating& rating, std::string_view column) {
  return fail(ErrorCode::kDataLoss, "the {} of rating {} cannot be read", column, rating.id);
}

Status decode(const std::string& prompt, const std::string& citations, Rating& rating) {
  const auto messages = parse_json(prompt), ids = parse_json(citations);
  if (!messages || !messages->is_array()) return damaged(rating, "prompt");
  for (const auto& item : messages->get_array()) {
    if (!item.is_object()) return damaged(rating, "prompt");
    const auto role = read_string(item.get_object(), "role"), content = read_string(item.get_object(), "content");
    if (!role || !content) return damaged(rating, "prompt");
    rating.prompt.push_back({role->value_or(""), content->value_or("")});
  }
  if (!ids || !ids->is_array()) return damaged(rating, "citations");
  for (const auto& item : ids->get_array()) {
    if (!item.is_string()) return damaged(rating, "citations");
    rating.citations.emplace_back(item.get_string());
  }
  return {};
}

Result<Rating> read(const infra::SqlRow& row, const governance::ProjectKeys& keys) {
  Rating rating;
  std::string scale;
  bool corrected = false;
  Bytes sealed;
  STOA_CHECK(row.read(rating.id, rating.tenant, rating.project, rating.principal, rating.user, rating.answer_id, rating.request_id, rating.model,
                      scale, rating.score, rating.time, corrected, sealed));
  STOA_TRY(record, governance::open_record(keys, governance::row_context("ratings", rating.id), sealed, 5));
  rating.comment = record.text(0);
  rating.correction = record.text(1);
  rating.answer = record.text(3);
  const auto known = parse_scale(scale);
  if (!known) return fail(ErrorCode::kDataLoss, "rating {} has the unknown scale '{}'", rating.id, scale);
  rating.scale = *known;
  STOA_CHECK(decode(record.text(2), record.text(4), rating));
  return rating;
}

// A condition of the query: column, comparison and value.
struct Where {
  std::string text = "tenant = ? AND project = ?";
  infra::SqlParams params;

  void add(std::string_view condition) { text += fmt::format(" AND ({})", condition); }
  void add(std::string_view condition, infra::SqlValue value) {
    add(condition);
    params.push_back(std::move(value));
  }
};

}  // namespace

std::string_view scale_name(RatingScale scale) { return scale == RatingScale::kThumbs ? "thumbs" : "stars"; }

Result<RatingScale> parse_scale(std::string_view name) {
  for (const auto scale : {RatingScale::kThumbs, RatingScale::kStars})
    if (name == scale_name(scale)) return scale;
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is no scale of ratings", name).with_hint("thumbs or stars").with_param("scale"));
}

governance::SealedTable RatingStore::sealed_table() {
  return {.name = "ratings", .ids = {"id"}, .project = "t.project", .from = "ratings t",
          .columns = {"comment", "correction", "prompt", "answer", "citations"}};
}

Result<std::unique_ptr<RatingStore>> RatingStore::open(infra::SqlDatabase& database, governance::Sealer& sealer, const Clock& clock) {
  STOA_CHECK(database.migrate("feedback.ratings", kMigrations));
  STOA_CHECK(governance::seal_old_rows(database, sealer, sealed_table()));
  return std::unique_ptr<RatingStore>(new RatingStore(database, sealer, clock));
}

Result<Rating> RatingStore::rate(const governance::Permit& permit, Rating rating) {
  STOA_CHECK(check(rating));
  const Principal& who = permit.principal();
  rating.tenant = who.tenant;
  rating.project = who.project;
  rating.principal = who.id;
  rating.user = who.user;
  rating.time = clock_.now();
  STOA_TRY(keys, sealer_.project(rating.project));
  STOA_CHECK(database_.transaction([&](infra::SqlTransaction& transaction) -> Status {
    STOA_TRY(before, transaction.query_one("SELECT id FROM ratings WHERE project = ? AND principal = ? AND answer_id = ?",
                                           {rating.project, rating.principal, rating.answer_id}));
    if (before) {
      STOA_TRY(id, before->get<std::string>(0));
      rating.id = id;
    } else {
      rating.id = new_id("rate");
    }
    STOA_TRY(sealed, governance::seal_record(keys, governance::row_context("ratings", rating.id),
                                             {rating.comment, rating.correction, encode(rating.prompt), rating.answer, encode(rating.citations)}));
    STOA_CHECK(transaction.execute(
        fmt::format("INSERT OR REPLACE INTO ratings ({}, comment, correction, prompt, answer, citations) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', '', '', '')", kColumns),
        {rating.id, rating.tenant, rating.project, rating.principal, rating.user, rating.answer_id, rating.request_id, rating.model,
         std::string(scale_name(rating.scale)), std::int64_t{rating.score}, rating.time, std::int64_t{!rating.correction.empty()}, sealed}));
    return {};
  }));
  return rating;
}

Result<RatingStore::Count> RatingStore::count(std::string_view project, std::string_view model, Micros from) {
  STOA_TRY(row, database_.query_one("SELECT COUNT(*), COALESCE(SUM(CASE WHEN scale = 'thumbs' THEN score > 0 ELSE score >= 4 END), 0) FROM ratings WHERE project = ? AND model = ? AND time >= ?",
                                    {std::string(project), std::string(model), from}));
  Count count;
  STOA_CHECK(row->read(count.all, count.good));
  return count;
}

Result<std::vector<Rating>> RatingStore::list(const governance::Permit& permit, const RatingFilter& filter) {
  if (filter.limit < 1 || filter.limit > kMaxPage)
    return fail(error(ErrorCode::kInvalidArgument, "limit must be 1 to {}", kMaxPage).with_param("limit"));
  Where where;
  where.params = {permit.principal().tenant, permit.principal().project};
  where.add("time >= ?", filter.from);
  where.add("time < ?", filter.until);
  where.add("id > ?", filter.after);
  if (!filter.answer_id.empty()) where.add("answer_id = ?", filter.answer_id);
  if (!filter.model.empty()) where.add("model = ?", filter.model);
  if (!filter.principal.empty()) where.add("principal = ?", filter.principal);
  if (filter.good_only) where.add("scale = 'thumbs' AND score > 0 OR scale = 'stars' AND score >= 4");
  if (filter.bad_only) where.add("scale = 'thumbs' AND score < 0 OR scale = 'stars' AND score <= 2");
  if (filter.corrected_only) where.add("corrected <> 0");
  where.params.emplace_back(static_cast<std::int64_t>(filter.limit));
  STOA_TRY(rows, database_.query(fmt::format("SELECT {} FROM ratings WHERE {} ORDER BY id LIMIT ?", kColumns, where.text), where.params));
  std::vector<Rating> ratings;
  if (rows.empty()) return ratings;
  STOA_TRY(keys, sealer_.project(permit.principal().project));
  for (const auto& row : rows) {
    STOA_TRY(rating, read(row, keys));
    ratings.push_back(std::move(rating));
  }
  return ratings;
}

Status RatingStore::remove(const governance::Permit& permit, std::string_view id) {
  const Principal& who = permit.principal();
  STOA_TRY(removed, database_.execute("DELETE FROM ratings WHERE id = ? AND tenant = ? AND project = ? AND principal = ?",
                                      {std::string(id), who.tenant, who.project, who.id}));
  if (removed == 0) return fail(ErrorCode::kNotFound, "there is no rating '{}' of yours", id);
  return {};
}

}  // namespace stoa::feedback
