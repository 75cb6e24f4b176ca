#include "contracts/events.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace stoa {
namespace {

TEST(Events, ARequestComesBackAsItWas) {
  RequestFinished event;
  event.request_id = "req_1";
  event.principal = "user_\"é";
  event.action = "model.use";
  event.resource = "POST /v1/responses";
  event.model = "m";
  event.status = 429;
  event.error = "resource_exhausted";
  event.answer = "{\"id\":\"a\\\\b\\n\"}\n\x01";
  event.usage.prompt_tokens = 12;
  event.usage.first_token_micros = 34;
  event.cost = INT64_MAX;
  event.duration_micros = INT64_MIN;
  event.started = 1'700'000'000'000'000;
  const auto back = RequestFinished::parse(event.to_json());
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->to_json(), event.to_json());
  EXPECT_EQ(back->principal, event.principal);
  EXPECT_EQ(dump_json(*parse_json(event.to_json())), event.to_json()) << "as the library writes it";
  EXPECT_EQ(back->cost, INT64_MAX);
  EXPECT_EQ(back->usage.first_token_micros, 34);
}

TEST(Events, AnOlderRequestLacksFields) {
  const auto event = RequestFinished::parse(R"({"request_id":"req_1","unknown":[]})");
  ASSERT_TRUE(event);
  EXPECT_EQ(event->request_id, "req_1");
  EXPECT_EQ(event->cost, 0);
}

TEST(Events, WhatIsNoEventIsRefused) {
  for (const std::string_view text : {"", "[]", "1", R"({"status":"x"})", R"({"status":99999999999})", R"({"cost":1.5})"})
    EXPECT_FALSE(RequestFinished::parse(text)) << text;
  for (const std::string_view text : {"", "{}", R"({"digests":1})", R"({"digests":[1]})"}) EXPECT_FALSE(BlobsReleased::parse(text)) << text;
}

TEST(Events, DigestsComeBackAsTheyWere) {
  const BlobsReleased event{{"sha256:a", "sha256:b"}};
  const auto back = BlobsReleased::parse(event.to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->digests, event.digests);
}

}  // namespace
}  // namespace stoa
