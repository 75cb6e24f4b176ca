#include "base/json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/json_arena.h"
#include "base/json_writer.h"

namespace stoa {
namespace {

TEST(JsonWriter, TextsReadBackAsTheyWere) {
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  for (const std::string& text : {std::string(), std::string("plain"), all, std::string("\"\\/ \x7f"), std::string("Grüße, 東京, \xF0\x9F\x8E\x89!"), std::string(5000, 'x') + "\n"}) {
    std::string out;
    JsonWriter(out).text(text);
    const auto read = parse_json(out);
    ASSERT_TRUE(read) << out;
    EXPECT_EQ(read->as_string(), text);
  }
  for (const std::string& broken : {std::string("a\xff" "b"), std::string("\xe2\x82"), std::string("\xc0\xaf")}) {
    std::string out;
    JsonWriter(out).text(broken);
    EXPECT_TRUE(parse_json(out)) << "what is no UTF-8 is written as what is";
  }
}

TEST(JsonWriter, WritesWhatTheLibraryWrites) {
  std::string out;
  JsonWriter writer(out);
  writer.object().member("a", 1).member("b", "x\ty").member("c", true).member("d", std::numeric_limits<std::int64_t>::min());
  writer.key("e").array().text("1").number(2).flag(false).null().array().end_array().object().end_object().end_array();
  writer.key("f").object().key("g").raw(R"({"h":[]})").end_object().member("i", 0.5).member("j", std::nan("")).end_object();
  const Json same = {{"a", 1}, {"b", "x\ty"}, {"c", true}, {"d", std::numeric_limits<std::int64_t>::min()}, {"e", {"1", 2, false, nullptr, JsonArray(), JsonObject()}},
                     {"f", {{"g", {{"h", JsonArray()}}}}}, {"i", 0.5}, {"j", nullptr}};
  EXPECT_EQ(out, dump_json(same));
}

TEST(JsonArena, HoldsWhatIsReadIntoIt) {
  std::string kept;
  Json copy;
  {
    JsonArena arena;
    for (int round = 0; round < 3; ++round) {  // also more than the arena begins with
      JsonArray list;
      for (int i = 0; i < 500; ++i) list.push_back(JsonObject{{"key", std::string(static_cast<std::size_t>(i % 40), 'v')}, {"n", i}});
      const auto read = parse_json(dump_json(list), arena);
      ASSERT_TRUE(read);
      EXPECT_EQ(*read, Json(list));
      kept = std::string(read->as_array()[39].as_object().at("key").as_string());
      copy = *read;
    }
    EXPECT_FALSE(parse_json("{\"a\":", arena));
    EXPECT_FALSE(parse_json(std::string(100, '['), arena));
    EXPECT_EQ(parse_json("[1]", arena, {.max_bytes = 2}).error().code, ErrorCode::kTooLarge);
  }
  EXPECT_EQ(kept, std::string(39, 'v'));
  EXPECT_EQ(copy.as_array()[499].as_object().at("n"), 499) << "what is assigned keeps its own memory";
}

}  // namespace
}  // namespace stoa
