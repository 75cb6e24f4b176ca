#include "data/retrieve/search_options.h"

#include <functional>
#include <limits>

#include <gtest/gtest.h>

namespace stoa::data {
namespace {

TEST(SearchOptions, Names) {
  for (const char* name : {"hybrid", "text", "vector"}) EXPECT_EQ(search_mode_name(*parse_search_mode(name)), name);
  EXPECT_EQ(parse_fusion("rrf"), Fusion::kRanks);
  EXPECT_EQ(parse_surroundings("section"), Surroundings::kSection);
  EXPECT_EQ(parse_query_syntax("operators"), QuerySyntax::kOperators);
  for (const auto& error : {parse_search_mode("x").error(), parse_fusion("").error(), parse_surroundings("None").error(), parse_query_syntax("lucene").error()}) {
    EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(error.hint.starts_with("use ")) << error.message;
  }
}

TEST(SearchOptions, HalfLives) {
  constexpr Micros kMinute = 60'000'000;
  struct Case {
    const char* text;
    Micros expected;
  };
  for (const auto& [text, expected] : {Case{"1m", kMinute}, Case{"90m", 90 * kMinute}, Case{"36h", 36 * 60 * kMinute}, Case{"30d", 30 * 1440 * kMinute}, Case{"2w", 14 * 1440 * kMinute},
                                       Case{"100y", 36500 * 1440 * kMinute}})
    EXPECT_EQ(parse_half_life(text), expected) << text;
  for (const char* text : {"", "d", "30", "0d", "-1d", "1.5d", "30 d", "30days", "101y", "99999999999999999999d", "9223372036854775807w", "\xff" "d"})
    EXPECT_EQ(parse_half_life(text).error().code, ErrorCode::kInvalidArgument) << text;
}

TEST(SearchOptions, AgeTakesHalfOfItsWeightInAHalfLife) {
  const Decay decay{.half_life = 1'000'000, .weight = 0.6};
  for (const auto& [age, expected] : std::vector<std::pair<Micros, double>>{{0, 1}, {1'000'000, 0.7}, {2'000'000, 0.55}, {1'000'000'000, 0.4}}) EXPECT_NEAR(decay_factor(age, decay), expected, 1e-12);
  EXPECT_EQ(decay_factor(1'000'000, {.half_life = 1'000'000, .weight = 0}), 1);
}

TEST(SearchOptions, WhatIsWrongIsNamed) {
  const std::vector<std::string> one{"vs_1"};
  const SearchMeans all{true, true, true};
  struct Case {
    std::string param;
    std::function<void(std::string& query, SearchOptions&, SearchMeans&)> change;
  };
  const std::vector<Case> cases{
      {"query", [](auto& query, auto&, auto&) { query = ""; }},
      {"query", [](auto& query, auto&, auto&) { query = "\xff"; }},
      {"query", [](auto& query, auto&, auto&) { query = std::string(32'769, 'a'); }},
      {"max_num_results", [](auto&, auto& o, auto&) { o.k = 0; }},
      {"max_num_results", [](auto&, auto& o, auto&) { o.k = 101; }},
      {"mode", [](auto&, auto& o, auto& means) { o.mode = SearchMode::kVector; means.embedder = false; }},
      {"rerank", [](auto&, auto& o, auto&) { o.rerank = 5; }},
      {"rerank", [](auto&, auto& o, auto&) { o.rerank = 101; }},
      {"rerank", [](auto&, auto& o, auto& means) { o.rerank = 10; means.reranker = false; }},
      {"queries", [](auto&, auto& o, auto&) { o.queries = {"fine", ""}; }},
      {"queries", [](auto&, auto& o, auto&) { o.queries.assign(8, "x"); }},
      {"rewrite", [](auto&, auto& o, auto&) { o.rewrite = 8; }},
      {"rewrite", [](auto&, auto& o, auto&) { o.queries.assign(5, "x"); o.rewrite = 3; }},
      {"rewrite", [](auto&, auto& o, auto& means) { o.rewrite = 1; means.rewriter = false; }},
      {"diversity", [](auto&, auto& o, auto&) { o.diversity = 1.1; }},
      {"diversity", [](auto&, auto& o, auto&) { o.diversity = std::numeric_limits<double>::quiet_NaN(); }},
      {"diversity", [](auto&, auto& o, auto& means) { o.diversity = 0.1; means.embedder = false; }},
      {"text_weight", [](auto&, auto& o, auto&) { o.text_weight = 1.5; }},
      {"decay.half_life", [](auto&, auto& o, auto&) { o.decay.half_life = 1; }},
      {"decay.half_life", [](auto&, auto& o, auto&) { o.decay.half_life = -1; }},
      {"decay.weight", [](auto&, auto& o, auto&) { o.decay.weight = 2; }},
      {"decay.attribute", [](auto&, auto& o, auto&) { o.decay.attribute = std::string(65, 'a'); }},
      {"syntax", [](auto&, auto& o, auto&) { o.syntax = QuerySyntax::kOperators; o.mode = SearchMode::kVector; }},
      {"syntax", [](auto&, auto& o, auto&) { o.syntax = QuerySyntax::kOperators; o.rewrite = 1; }},
      {"query", [](auto& query, auto& o, auto&) { query = "\"open"; o.syntax = QuerySyntax::kOperators; }},
      {"query", [](auto& query, auto& o, auto&) { query = "-only"; o.syntax = QuerySyntax::kOperators; }},
      {"queries", [](auto&, auto& o, auto&) { o.queries = {"(a"}; o.syntax = QuerySyntax::kOperators; }},
  };
  for (const auto& [param, change] : cases) {
    std::string query = "a b";
    SearchOptions options;
    SearchMeans means = all;
    const auto check = [&]() -> Status {
      STOA_CHECK(check_search(one, query, options));
      return check_means(options, means);
    };
    EXPECT_TRUE(check());
    change(query, options, means);
    const auto checked = check();
    ASSERT_FALSE(checked) << param << " " << query.substr(0, 20);
    EXPECT_EQ(checked.error().param, param) << checked.error().message;
    EXPECT_EQ(checked.error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(check_search({}, "a", {}));
  EXPECT_TRUE(check_search(one, "\"open", {})) << "plain text has no signs";
  EXPECT_TRUE(check_search(one, "+fox -dog \"red barn\"", {.syntax = QuerySyntax::kOperators}));
}

TEST(SearchOptions, SaysWhatLetADocumentThrough) {
  const Attributes attributes{{"year", 2024.0}, {"kind", std::string("guide")}, {"draft", false}};
  const Filter year{FilterOp::kGte, "year", {2021.0}, {}}, kind{FilterOp::kIn, "kind", {std::string("guide"), std::string("note")}, {}}, other{FilterOp::kEq, "kind", {std::string("memo")}, {}},
      draft{FilterOp::kNe, "draft", {true}, {}}, unsaid{FilterOp::kNe, "owner", {std::string("x")}, {}};
  struct Case {
    Filter filter;
    std::vector<std::string> expected;
  };
  for (const auto& [filter, expected] : std::vector<Case>{
           {{}, {}},
           {year, {"year >= 2021 (2024)"}},
           {{FilterOp::kAnd, "", {}, {year, kind}}, {"year >= 2021 (2024)", "kind in guide, note (guide)"}},
           {{FilterOp::kOr, "", {}, {other, draft}}, {"draft != true (false)"}},
           {unsaid, {"owner != x (not said)"}},
           {other, {}},
       })
    EXPECT_EQ(satisfied_comparisons(filter, attributes), expected);
}

TEST(SearchOptions, MeaningWithoutSigns) {
  const std::vector<std::pair<std::string, std::string>> cases{{"red barn", "red barn"}, {"+fox -dog \"red barn\"~2 pre* near~1", "fox red barn pre near"}, {"a AND NOT b OR c^2", "a c"}, {"-dog", "-dog"}};
  for (const auto& [query, plain] : cases) EXPECT_EQ(without_signs(query), plain);
}

}  // namespace
}  // namespace stoa::data
