#include "gateway/api/images.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

TEST(Images, WhatCallersMaySend) {
  const std::pair<std::string, bool> urls[] = {
      {"https://a.example/b.png", true}, {"http://a.example/b.png", true},     {"data:image/png;base64,AAAA", true},    {"data:image/webp;base64,AA==", true},
      {"file:///etc/passwd", false},     {"ftp://a.example/b", false},         {"data:image/svg+xml;base64,AAAA", false}, {"data:image/png,AAAA", false},
      {"data:image/png;base64,", false}, {"data:image/png;base64,AAA", false}, {"data:image/png;base64,A A=", false},   {"data:image/png;base64,A===", false},
      {"data:image/png;base64,=AAA", false}, {"https://a.example/ b", false},  {"https://a.example/" + std::string(9000, 'a'), false}, {"", false},
  };
  for (const auto& [url, good] : urls) {
    const auto image = image_of_url(url, "messages[0].content[1].image_url.url");
    EXPECT_EQ(image.has_value(), good) << url;
    if (!image) {
      EXPECT_EQ(image.error().param, "messages[0].content[1].image_url.url");
      EXPECT_LT(image.error().message.size(), 200u);
    }
  }
  const auto image = image_of_url("data:image/jpeg;base64,/9j+", "p");
  ASSERT_TRUE(image);
  EXPECT_EQ(image->media_type, "image/jpeg");
  EXPECT_EQ(image->data, "/9j+");
  EXPECT_TRUE(image->url.empty());
}

}  // namespace
}  // namespace stoa::gateway
