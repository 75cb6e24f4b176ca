#include "infra/http/url.h"

#include <gtest/gtest.h>

namespace stoa::infra {
namespace {

TEST(Url, ParsesAndPrints) {
  struct Case {
    std::string text, scheme, host;
    int port;
    std::string target, origin;
  };
  const Case cases[] = {
      {"http://a", "http", "a", 80, "/", "http://a"},
      {"HTTPS://Example.ORG/x?y=1#z", "https", "example.org", 443, "/x?y=1", "https://example.org"},
      {"http://127.0.0.1:8080/v1/", "http", "127.0.0.1", 8080, "/v1/", "http://127.0.0.1:8080"},
      {"http://[::1]:81?q", "http", "::1", 81, "/?q", "http://[::1]:81"},
      {"https://u:p@h:443/", "https", "h", 443, "/", "https://h"},
      {"file:///a/b", "file", "", 0, "/a/b", "file://"},
      {"hf://org/repo", "hf", "org", 0, "/repo", "hf://org"},
  };
  for (const auto& c : cases) {
    const auto url = parse_url(c.text);
    ASSERT_TRUE(url) << c.text << ": " << url.error().message;
    EXPECT_EQ(url->scheme, c.scheme) << c.text;
    EXPECT_EQ(url->host, c.host) << c.text;
    EXPECT_EQ(url->port, c.port) << c.text;
    EXPECT_EQ(url->target(), c.target) << c.text;
    EXPECT_EQ(url->origin(), c.origin) << c.text;
  }
  for (const std::string bad : {"", "a/b", "://a", "http://", "http://a:0", "http://a:70000", "http://a:x", "http://[::1", "http://[::1]x", "http://a b", "http://a\r\nX: y",
                                 "1http://a"})
    EXPECT_EQ(parse_url(bad).error().code, ErrorCode::kInvalidArgument) << bad;
  EXPECT_FALSE(parse_url("http://a/" + std::string(9000, 'x')));
}

TEST(Url, ResolvesReferences) {
  const Url base = *parse_url("http://h/a/b/c?q=1");
  const std::pair<std::string, std::string> cases[] = {
      {"d", "http://h/a/b/d"}, {"./d", "http://h/a/b/d"}, {"../d", "http://h/a/d"}, {"../../../d", "http://h/d"}, {"/x/./y/../z", "http://h/x/z"},
      {"?r=2", "http://h/a/b/c?r=2"}, {"", "http://h/a/b/c?q=1"}, {"//k/x", "http://k/x"}, {"https://k:1/x#f", "https://k:1/x"}, {"..", "http://h/a/"},
      {"d/", "http://h/a/b/d/"}, {"/", "http://h/"},
  };
  for (const auto& [reference, expected] : cases) {
    const auto url = resolve_url(base, reference);
    ASSERT_TRUE(url) << reference;
    EXPECT_EQ(url->origin() + url->target(), expected) << reference;
  }
}

TEST(Url, PercentCoding) {
  EXPECT_EQ(percent_encode("a b/ü~"), "a%20b%2F%C3%BC~");
  EXPECT_EQ(percent_encode("a/b", "/"), "a/b");
  EXPECT_EQ(*percent_decode("a%20b%2f+"), "a b/+");
  EXPECT_EQ(*percent_decode("a+b%41", true), "a bA");
  for (const char* bad : {"%", "%4", "%4g", "a%"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(Url, QueryPairs) {
  const auto pairs = parse_query("a=1&b=x+y&a=%26&flag&&=z");
  ASSERT_TRUE(pairs);
  const NameValues expected = {{"a", "1"}, {"b", "x y"}, {"a", "&"}, {"flag", ""}, {"", "z"}};
  EXPECT_EQ(*pairs, expected);
  EXPECT_EQ(*parse_query(format_query(expected)), expected);
  std::string many;
  for (std::size_t i = 0; i <= kMaxQueryPairs; ++i) many += "a&";
  EXPECT_FALSE(parse_query(many));
}

}  // namespace
}  // namespace stoa::infra
