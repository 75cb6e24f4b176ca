#include "models/engine/text_stream.h"

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

struct Case {
  const char* name;
  std::vector<std::string> stops, pieces, shown;  // what each piece lets through; one more entry for the end
  std::string stopped;  // by
};

TEST(TextStream, ShowsWholeCharactersAndCutsStops) {
  const Case cases[] = {
      {"plain", {}, {"Hello", ", ", "world"}, {"Hello", ", ", "world", ""}, ""},
      {"character over three pieces", {}, {"a\xE2", "\x82", "\xAC!"}, {"a", "", "\xE2\x82\xAC!", ""}, ""},
      {"unfinished at the end", {}, {"a\xF0\x9F"}, {"a", "\xEF\xBF\xBD\xEF\xBF\xBD"}, ""},
      {"invalid byte", {}, {"a\xFFz"}, {"a\xEF\xBF\xBDz", ""}, ""},
      {"stop inside a piece", {"END"}, {"one END two"}, {"one ", ""}, "END"},
      {"stop over pieces", {"\n\n"}, {"one\n", "\ntwo"}, {"one", "", ""}, "\n\n"},
      {"held back, then not a stop", {"STOP"}, {"xST", "OX"}, {"x", "STOX", ""}, ""},
      {"held back at the end", {"STOP"}, {"xST"}, {"x", "ST"}, ""},
      {"earliest of two stops", {"zz", "b"}, {"abzz"}, {"a", ""}, "b"},
      {"overlapping begin", {"aab"}, {"a", "a", "a", "b", "c"}, {"", "", "a", "", "", ""}, "aab"},
      {"stop of half a character's bytes ahead", {"\xE2\x82\xAC"}, {"5\xE2\x82", "\xAC"}, {"5", "", ""}, "\xE2\x82\xAC"},
  };
  for (const auto& c : cases) {
    TextStream stream(c.stops);
    bool stopped = false;
    std::vector<std::string> shown;
    for (const auto& piece : c.pieces) {
      ChatDelta delta;
      stopped = stream.push(piece, nullptr, delta) || stopped;
      shown.push_back(delta.text);
    }
    ChatDelta rest;
    stream.finish(rest);
    shown.push_back(rest.text);
    EXPECT_EQ(shown, c.shown) << c.name;
    EXPECT_EQ(stopped, !c.stopped.empty()) << c.name;
    EXPECT_EQ(stream.stopped_by(), c.stopped) << c.name;
  }
}

TEST(TextStream, LogprobsTravelWithTheirText) {
  TextStream stream({"STOP"});
  const auto push = [&](const char* bytes, std::int32_t token) {
    TokenLogprob logprob{.token = token, .text = bytes, .logprob = 0, .top = {}};
    ChatDelta delta;
    stream.push(bytes, &logprob, delta);
    std::vector<std::int32_t> tokens;
    for (const auto& l : delta.logprobs) tokens.push_back(l.token);
    return tokens;
  };
  EXPECT_EQ(push("a", 1), std::vector<std::int32_t>({1}));
  EXPECT_EQ(push("S", 2), std::vector<std::int32_t>({}));
  EXPECT_EQ(push("\xE2\x82", 3), std::vector<std::int32_t>({2}));
  EXPECT_EQ(push("\xAC", 4), std::vector<std::int32_t>({3, 4}));
  EXPECT_EQ(push("STOP", 5), std::vector<std::int32_t>({}));
}

}  // namespace
}  // namespace stoa::models
