#include <gtest/gtest.h>

#include "base/json.h"
#include "feedback/ratings/dataset.h"
#include "feedback/ratings/rating_store.h"
#include "governance/access/test_access.h"
#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::feedback {
namespace {

using governance::Action;
using governance::Permit;

class RatingTest : public testing::Test {
 protected:
  void SetUp() override {
    auto opened = infra::open_memory();
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
    protection_ = std::make_unique<governance::MemoryProtection>(*database_);
    auto ratings = RatingStore::open(*database_, *protection_->sealer);
    ASSERT_TRUE(ratings) << ratings.error().message;
    ratings_ = std::move(*ratings);
    lake_ = std::make_unique<data::Lake>(*database_, protection_->blobs);
    ASSERT_TRUE(lake_->open());
  }
  static Principal principal(std::string id, std::string project = "proj_a") { return {id, "tenant_a", std::move(project), id + "-user", {}, "admin"}; }
  Permit permit(const Principal& who) const { return *access_->check(Call::of(who), Action::kRatingWrite, governance::Resource::of(who, "rating")); }
  static Rating rating(std::string answer_id, int score = 1) {
    Rating rating;
    rating.answer_id = std::move(answer_id);
    rating.request_id = "req_1";
    rating.model = "small";
    rating.score = score;
    rating.prompt = {{"system", "Be brief."}, {"user", "Where is lunch?"}};
    rating.answer = "On the roof.";
    rating.citations = {"chunk_1", "chunk_2"};
    return rating;
  }
  std::string answers(const Principal& who, const RatingFilter& filter = {}) {
    const auto found = ratings_->list(permit(who), filter);
    if (!found) return found.error().message;
    std::string out;
    for (const auto& item : *found) out += item.answer_id + " ";
    return out;
  }

  std::unique_ptr<governance::Access> access_ = governance::access_for_tests(STOA_SOURCE_DIR);
  std::unique_ptr<infra::SqlDatabase> database_;
  std::unique_ptr<governance::MemoryProtection> protection_;
  std::unique_ptr<RatingStore> ratings_;
  std::unique_ptr<data::Lake> lake_;
  const Principal ann_ = principal("key_ann"), bob_ = principal("key_bob"), eve_ = principal("key_eve", "proj_b");
};

TEST_F(RatingTest, KeepsAllOfARatingAndWhoGaveIt) {
  Rating given = rating("resp_1", -1);
  given.comment = "not there";
  given.correction = "In the canteen.";
  const auto stored = ratings_->rate(permit(ann_), given);
  ASSERT_TRUE(stored) << stored.error().message;
  const auto read = ratings_->list(permit(ann_), {});
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1u);
  const Rating& back = read->front();
  EXPECT_EQ(back.id, stored->id);
  EXPECT_EQ(back.score, -1);
  EXPECT_EQ(back.prompt.at(1).content, "Where is lunch?");
  EXPECT_EQ(back.answer, "On the roof.");
  EXPECT_EQ(back.correction, "In the canteen.");
  EXPECT_EQ(back.comment, "not there");
  EXPECT_EQ(back.citations, given.citations);
  EXPECT_EQ(back.principal + back.project + back.tenant + back.user, "key_annproj_atenant_akey_ann-user");
  EXPECT_GT(back.time, 0);
}

TEST_F(RatingTest, RatingAgainReplacesOnesOwnOnly) {
  const auto first = ratings_->rate(permit(ann_), rating("resp_1", 1));
  const auto again = ratings_->rate(permit(ann_), rating("resp_1", -1));
  const auto other = ratings_->rate(permit(bob_), rating("resp_1", 1));
  ASSERT_TRUE(first && again && other);
  EXPECT_EQ(first->id, again->id);
  EXPECT_NE(first->id, other->id);
  EXPECT_EQ(answers(ann_), "resp_1 resp_1 ");
  EXPECT_EQ(answers(ann_, {.bad_only = true}), "resp_1 ");
  EXPECT_EQ(answers(eve_), "") << "another project";
  EXPECT_EQ(ratings_->remove(permit(bob_), first->id).error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(ratings_->remove(permit(ann_), first->id));
  EXPECT_EQ(answers(ann_), "resp_1 ");
}

TEST_F(RatingTest, Filters) {
  for (int i = 1; i <= 5; ++i) {
    Rating item = rating("resp_" + std::to_string(i));
    item.scale = RatingScale::kStars;
    item.score = i;
    if (i == 3) item.correction = "better";
    if (i == 4) item.model = "large";
    ASSERT_TRUE(ratings_->rate(permit(ann_), item));
  }
  EXPECT_EQ(answers(ann_, {.good_only = true}), "resp_4 resp_5 ");
  EXPECT_EQ(answers(ann_, {.bad_only = true}), "resp_1 resp_2 ");
  EXPECT_EQ(answers(ann_, {.corrected_only = true}), "resp_3 ");
  EXPECT_EQ(answers(ann_, {.model = "large"}), "resp_4 ");
  EXPECT_EQ(answers(ann_, {.answer_id = "resp_2"}), "resp_2 ");
  EXPECT_EQ(answers(ann_, {.principal = "key_bob"}), "");
  EXPECT_EQ(answers(ann_, {.until = 1}), "");
  EXPECT_EQ(answers(ann_, {.limit = 2}), "resp_1 resp_2 ");
  const auto page = ratings_->list(permit(ann_), {.limit = 2});
  EXPECT_EQ(answers(ann_, {.after = page->back().id, .limit = 2}), "resp_3 resp_4 ");
}

TEST_F(RatingTest, RefusesWhatItCannotKeep) {
  struct Case {
    std::string param;
    std::function<void(Rating&)> spoil;
  };
  for (const auto& test : {
           Case{"score", [](Rating& r) { r.score = 0; }},
           Case{"score", [](Rating& r) { r.score = 5; }},
           Case{"score", [](Rating& r) { r.scale = RatingScale::kStars; r.score = 6; }},
           Case{"score", [](Rating& r) { r.scale = RatingScale::kStars; r.score = -1; }},
           Case{"answer_id", [](Rating& r) { r.answer_id.clear(); }},
           Case{"answer_id", [](Rating& r) { r.answer_id = "a b"; }},
           Case{"answer_id", [](Rating& r) { r.answer_id = std::string(129, 'x'); }},
           Case{"answer", [](Rating& r) { r.answer.clear(); }},
           Case{"answer", [](Rating& r) { r.answer = "\xFF"; }},
           Case{"answer", [](Rating& r) { r.answer = std::string((256 << 10) + 1, 'x'); }},
           Case{"prompt", [](Rating& r) { r.prompt.clear(); }},
           Case{"prompt", [](Rating& r) { r.prompt.assign(3, {"user", std::string(400'000, 'x')}); }},
           Case{"prompt", [](Rating& r) { r.prompt[0].role.clear(); }},
           Case{"comment", [](Rating& r) { r.comment = std::string(5000, 'x'); }},
           Case{"correction", [](Rating& r) { r.correction = "\xC3"; }},
           Case{"citations", [](Rating& r) { r.citations.assign(65, "chunk_1"); }},
       }) {
    Rating item = rating("resp_1");
    test.spoil(item);
    const auto stored = ratings_->rate(permit(ann_), item);
    ASSERT_FALSE(stored) << test.param;
    EXPECT_EQ(stored.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(stored.error().param, test.param);
  }
  EXPECT_FALSE(parse_scale("percent"));
}

TEST_F(RatingTest, BecomesADataset) {
  Call call;
  call.principal = ann_;
  EXPECT_EQ(dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "lunch").error().code, ErrorCode::kNotFound);
  Rating corrected = rating("resp_1", -1);
  corrected.correction = "In the canteen.";
  ASSERT_TRUE(ratings_->rate(permit(ann_), corrected));
  ASSERT_TRUE(ratings_->rate(permit(ann_), rating("resp_2", 1)));
  ASSERT_TRUE(ratings_->rate(permit(eve_), rating("resp_3", 1)));

  const auto made = dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "lunch");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->rows, 2) << "another project's rating is not taken";
  std::vector<JsonObject> rows;
  ASSERT_TRUE(lake_->read(call, made->id, 0, 10, [&](const std::string& row) -> Result<bool> {
    rows.push_back(parse_json(row)->get_object());
    return true;
  }));
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].at("chosen"), "In the canteen.");
  EXPECT_EQ(rows[0].at("rejected"), "On the roof.");
  EXPECT_EQ(rows[0].at("messages").as_array().at(1).as_object().at("content"), "Where is lunch?");
  EXPECT_EQ(rows[0].at("rating").as_object().at("score"), -1);
  EXPECT_EQ(rows[1].at("rating").as_object().at("good"), true);
  EXPECT_FALSE(rows[1].contains("chosen"));

  EXPECT_EQ(dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "lunch")->id, made->id) << "the same ratings are the same version";
  ASSERT_TRUE(ratings_->rate(permit(bob_), rating("resp_4", 1)));
  EXPECT_NE(dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "lunch")->id, made->id);
  EXPECT_EQ(dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "good", {.good_only = true})->rows, 2);
}

TEST_F(RatingTest, MoreRatingsThanAPage) {
  Call call;
  call.principal = ann_;
  for (int i = 0; i < 1100; ++i) ASSERT_TRUE(ratings_->rate(permit(ann_), rating("resp_" + std::to_string(i))));
  const auto made = dataset_from_ratings(permit(ann_), call, *ratings_, *lake_, "many");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->rows, 1100);
}

}  // namespace
}  // namespace stoa::feedback
