#include "gateway/providers/alike_events.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace stoa::gateway {
namespace {

constexpr std::string_view kFirst = R"({"id":"c1","choices":[{"delta":{"content": "Hi"},"x":null}]})";

TEST(AlikeEvents, OnlyTheTextMayDiffer) {
  const struct { const char* data; std::optional<std::string> text; } cases[] = {
      {R"({"id":"c1","choices":[{"delta":{"content": "Hi"},"x":null}]})", "Hi"},
      {R"({"id":"c1","choices":[{"delta":{"content": ""},"x":null}]})", ""},
      {R"({"id":"c1","choices":[{"delta":{"content": " \"q\" \\ \/ \n\t\r\b\f Z\u00fc"},"x":null}]})", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": " \"q\" \\ \/ \n\t\r\b\f"},"x":null}]})", " \"q\" \\ / \n\t\r\b\f"},
      {R"({"id":"c1","choices":[{"delta":{"content": "Zürich 日本"},"x":null}]})", "Zürich 日本"},
      {"{\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\": \"\xff\"},\"x\":null}]}", std::nullopt},
      {"{\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\": \"\n\"},\"x\":null}]}", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": "a\"},"x":null}]})", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": "a\x"},"x":null}]})", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": "a","role":"b"},"x":null}]})", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": "a"},"x":1}]})", std::nullopt},
      {R"({"id":"c2","choices":[{"delta":{"content": "a"},"x":null}]})", std::nullopt},
      {R"({"id":"c1","choices":[{"delta":{"content": "},"x":null}]})", std::nullopt},
      {R"({"id":"c1")", std::nullopt},
      {"", std::nullopt}};
  AlikeEvents alike;
  EXPECT_FALSE(alike.text_of(kFirst));
  alike.learn(kFirst, "content", "Hi");
  for (const auto& c : cases) EXPECT_EQ(alike.text_of(c.data), c.text) << c.data;
}

TEST(AlikeEvents, WhatIsNotOneTextIsNotLearnt) {
  for (const char* data : {R"({"content":"Hi","delta":{"content":"Hi"}})", R"({"my\"content":"Hi"})", R"({"content":1,"t":"Hi"})", R"({"content":null})", R"({"text":"Hi"})", R"({"content":"Ho"})",
                           R"({"content":"Hi)", R"({"content":"Hi\)", R"({"content":)", "\"content\":\"Hi\"", ""}) {
    AlikeEvents alike;
    alike.learn(data, "content", "Hi");
    EXPECT_FALSE(alike.text_of(data)) << data;
  }
  AlikeEvents alike;
  alike.learn(kFirst, "content", "Hi");
  alike.learn(R"({"other":1})", "content", "Hi");
  EXPECT_FALSE(alike.text_of(kFirst)) << "the last one counts";
}

// Whatever is taken for alike reads the same as a whole.
TEST(AlikeEvents, SaysWhatAWholeReadingSays) {
  AlikeEvents alike;
  alike.learn(kFirst, "content", "Hi");
  const std::string before(kFirst.substr(0, kFirst.find("Hi"))), after(kFirst.substr(kFirst.find("Hi") + 2));
  const std::string_view pieces[] = {"a", "\"", "\\", "\\n", "\\\"", "\\\\", "}", "{", ",", "\n", "\xc3", "\xbc", "\xe2\x82\xac", "\\u0041", "\\ud83d", ":", "content", " "};
  std::uint64_t state = 1;
  int read = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string inner;
    for (int k = 0; k < 4; ++k) inner += pieces[((state = state * 6364136223846793005u + 1442695040888963407u) >> 33) % std::size(pieces)];
    const std::string data = before + inner + after;
    const auto text = alike.text_of(data);
    if (!text) continue;
    ++read;
    const auto whole = parse_json(data);
    ASSERT_TRUE(whole) << data;
    EXPECT_EQ(whole->at("choices").at(0).at("delta").at("content").as_string(), *text) << data;
    EXPECT_EQ(whole->as_object().size(), 2u);
  }
  EXPECT_GT(read, 100);
}

}  // namespace
}  // namespace stoa::gateway
