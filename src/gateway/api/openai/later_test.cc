// Lines of batches, results as lines, and judgements: what is read and written without a server.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "gateway/api/openai/batches_json.h"
#include "gateway/api/openai/moderations.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::string_view kChat = "/v1/chat/completions";

TEST(BatchLines, WhatIsWrongIsNamed) {
  struct Case {
    std::string line, param;
  };
  const std::string good = R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":{"model":"m"}})";
  const auto changed = [&](const std::string& from, const std::string& to) { return std::string(good).replace(good.find(from), from.size(), to); };
  for (const Case& one : {Case{"{", "json"}, Case{"[]", "json"}, Case{"{}", "custom_id"}, Case{changed("\"a\"", "7"), "custom_id"}, Case{changed("\"a\"", "\"" + std::string(600, 'x') + "\""), "custom_id"},
                          Case{changed("POST", "GET"), "method"}, Case{changed("chat/completions", "embeddings"), "url"}, Case{changed(R"({"model":"m"})", "null"), "body"},
                          Case{changed(R"({"model":"m"})", R"({"stream":true})"), "body.stream"}, Case{changed(R"({"model":"m"})", R"({"background":true})"), "body.background"}}) {
    const auto line = parse_batch_line(kChat, one.line);
    ASSERT_FALSE(line) << one.line;
    EXPECT_EQ(line.error().param, one.param) << one.line;
  }
  const auto line = parse_batch_line(kChat, good);
  ASSERT_TRUE(line);
  EXPECT_EQ(line->custom_id, "a");
  EXPECT_EQ(line->path, kChat);
  EXPECT_EQ(line->body, R"({"model":"m"})");
}

TEST(BatchLines, ResultsAreLines) {
  Batch batch;
  batch.id = "batch_x";
  EXPECT_EQ(result_line(batch, {.line = 3, .status = 200, .custom_id = "a\"b", .request_id = "req_1", .body = "{}"}),
            "{\"id\":\"batch_req_x_3\",\"custom_id\":\"a\\\"b\",\"response\":{\"status_code\":200,\"request_id\":\"req_1\",\"body\":{}},\"error\":null}\n");
  for (const auto& [status, code] : {std::pair(BatchResult::kExpired, "batch_expired"), {BatchResult::kCancelled, "batch_cancelled"}, {BatchResult::kUnrunnable, "not_executed"}}) {
    const auto json = parse_json(result_line(batch, {.line = 1, .status = status, .custom_id = "a", .request_id = {}, .body = "why"}));
    ASSERT_TRUE(json);
    EXPECT_EQ(json->at("error").at("code").as_string(), code);
    EXPECT_TRUE(json->at("response").is_null());
  }
}

TEST(Moderations, TheFileThatComesWithStoaIsRead) {
  std::ifstream file(STOA_SOURCE_DIR "/share/moderation.yaml");
  std::stringstream text;
  text << file.rdbuf();
  const auto settings = parse_moderation_settings(text.str(), "moderation.yaml");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_EQ(settings->categories.size(), 13u);
  const ChatRequest request = moderation_request(*settings, "m", "text");
  EXPECT_EQ(request.messages.back().content, "text");
  EXPECT_NE(request.messages.front().content.find("self-harm/intent"), std::string::npos);
}

TEST(Moderations, JudgementsAreWhatWasAskedFor) {
  ModerationSettings settings{.model = "m", .threshold = 0.5, .instructions = "", .categories = {{"hate", ""}, {"violence", ""}}};
  const auto result = moderation_result(settings, R"({"hate":4,"violence":5})");
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->at("flagged").as_bool());
  EXPECT_FALSE(result->at("categories").at("hate").as_bool());
  EXPECT_DOUBLE_EQ(result->at("category_scores").at("violence").as_double(), 0.5);
  for (const char* wrong : {"", "no", "[]", R"({"hate":4})", R"({"hate":4,"violence":11})", R"({"hate":4,"violence":-1})", R"({"hate":4,"violence":"5"})"})
    EXPECT_EQ(moderation_result(settings, wrong).error().code, ErrorCode::kUnavailable) << wrong;
  for (const char* wrong : {"", "model: m", "model: m\nthreshold: 2\ninstructions: x\ncategories:\n  - name: a\n    meaning: b\n", "model: m\nthreshold: 0.5\ninstructions: x\ncategories: []\n",
                            "model: m\nthreshold: 0.5\ninstructions: x\ncategories:\n  - name: a\n"})
    EXPECT_FALSE(parse_moderation_settings(wrong, "moderation.yaml")) << wrong;
}

}  // namespace
}  // namespace stoa::gateway::openai
