#include "contracts/events.h"

#include <gtest/gtest.h>

namespace stoa {
namespace {

TEST(Events, WhatIsNoEventIsRefused) {
  for (const std::string_view text : {"", "[]", "1", "{}", R"({"digests":1})", R"({"digests":[1]})"}) EXPECT_FALSE(BlobsReleased::parse(text)) << text;
}

TEST(Events, DigestsComeBackAsTheyWere) {
  const BlobsReleased event{{"sha256:a", "sha256:b"}};
  const auto back = BlobsReleased::parse(event.to_json());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->digests, event.digests);
}

}  // namespace
}  // namespace stoa
