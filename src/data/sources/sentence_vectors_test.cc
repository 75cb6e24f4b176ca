#include "data/sources/sentence_vectors.h"

#include <cmath>

#include <gtest/gtest.h>

namespace stoa::data {
namespace {

TEST(SentenceVectors, PlacesOfSentences) {
  struct Case {
    std::string text;
    std::vector<std::string> expected;
  };
  std::string many;
  for (int i = 0; i < 40; ++i) many += "This is one of forty sentences. ";
  for (const auto& [text, expected] : std::vector<Case>{
           {"", {}},
           {"Only one sentence stands here.", {}},
           {"The first sentence stands here. The second one follows it.", {"The first sentence stands here.", "The second one follows it."}},
           {"The first sentence stands here.  See below.", {}},
           {"See below. The first sentence stands here.\nThe second one follows it. Yes.", {"See below. The first sentence stands here.", "The second one follows it. Yes."}},
       }) {
    std::vector<std::string> found;
    for (const auto [begin, end] : sentence_places(text)) found.push_back(text.substr(begin, end - begin));
    EXPECT_EQ(found, expected) << text;
  }
  const auto places = sentence_places(many);
  ASSERT_EQ(places.size(), 32u);
  EXPECT_EQ(places.back().end, many.size() - 1) << "the last ones together";
}

TEST(SentenceVectors, TheNearestIsFound) {
  const std::vector<SentencePlace> places{{0, 10}, {11, 20}};
  const std::vector<float> vectors{0.6F, 0.8F, 0, 1};
  const std::string packed = pack_sentences(places, vectors);
  EXPECT_EQ(packed.size(), 2 * (12 + 2));
  const auto found = nearest_sentence(packed, std::vector<float>{1, 0});
  ASSERT_TRUE(found);
  EXPECT_EQ(found->place.begin, 0u);
  EXPECT_NEAR(found->cosine, 0.6, 0.005);
  EXPECT_EQ(nearest_sentence(packed, std::vector<float>{0, 1})->place.begin, 11u);
  for (const std::string& wrong : {std::string(), packed.substr(1), packed + "x"}) EXPECT_FALSE(nearest_sentence(wrong, std::vector<float>{1, 0}));
  EXPECT_FALSE(nearest_sentence(packed, std::vector<float>{1, 0, 0})) << "of another width";
  EXPECT_FALSE(nearest_sentence(packed, {}));
  EXPECT_EQ(pack_sentences({}, {}), "");
}

}  // namespace
}  // namespace stoa::data
