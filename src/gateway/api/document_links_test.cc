#include "gateway/api/document_links.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

class FixedClock : public Clock {
 public:
  Micros now() const override { return time; }
  Micros time = 1'800'000'000'000'000;
};

const Principal kAnn{"user_1", "tenant_a", "proj_a", "ann", {"eng", "ops"}, "admin", {}, "key_1"};

std::string token_of(const std::string& path) {
  const auto begin = path.find("token=") + 6;
  return path.substr(begin, path.find('#') - begin);
}

TEST(DocumentLinks, GiveBackTheKeyOrTheUserThatAsked) {
  const DocumentLinks links(as_bytes("secret"));
  const auto opened = links.open("doc_1", token_of(links.path(kAnn, "doc_1")));
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(*opened, "key_1");
  Principal keyless = kAnn;
  keyless.key.clear();  // signed in by an identity provider
  EXPECT_EQ(*links.open("doc_1", token_of(links.path(keyless, "doc_1"))), keyless.id);
  keyless.grants.emplace_back();
  EXPECT_FALSE(links.open("doc_1", token_of(links.path(keyless, "doc_1")))) << "rights lent to a job do not outlive it in a link";
}

TEST(DocumentLinks, PointAtThePlace) {
  const DocumentLinks links(as_bytes("secret"));
  struct Case {
    std::string anchor;
    int page;
    std::string ending;
  };
  for (const auto& test : {Case{"s-maintainer", 0, "#s-maintainer"}, Case{"", 3, "#page=3"}, Case{"a b\"<", 0, "#a%20b%22%3C"}}) {
    const auto path = links.path(kAnn, "doc_1", test.anchor, test.page);
    EXPECT_TRUE(path.starts_with("/v1/stoa/documents/doc_1/content?token=")) << path;
    EXPECT_TRUE(path.ends_with(test.ending)) << path;
  }
  EXPECT_EQ(links.path(kAnn, "doc_1").find('#'), std::string::npos);
}

TEST(DocumentLinksAttacks, RefuseWhatIsNotTheirs) {
  FixedClock clock;
  const DocumentLinks links(as_bytes("secret"), std::chrono::seconds(60), clock), others(as_bytes("another"), std::chrono::seconds(60), clock);
  const std::string token = token_of(links.path(kAnn, "doc_1"));
  std::string changed = token;
  changed[3] = changed[3] == 'A' ? 'B' : 'A';
  for (const auto& [document, text] : std::vector<std::pair<std::string, std::string>>{
           {"doc_2", token}, {"doc_1", ""}, {"doc_1", "."}, {"doc_1", changed}, {"doc_1", token + "A"}, {"doc_1", token.substr(0, token.size() - 1)},
           {"doc_1", token_of(others.path(kAnn, "doc_1"))}, {"doc_1", std::string(9000, 'A')}, {"doc_1", token.substr(0, token.find('.'))}}) {
    const auto opened = links.open(document, text);
    ASSERT_FALSE(opened) << text;
    EXPECT_EQ(opened.error().code, ErrorCode::kUnauthenticated);
  }
  clock.time += 59'000'000;
  EXPECT_TRUE(links.open("doc_1", token));
  clock.time += 1'000'000;
  EXPECT_FALSE(links.open("doc_1", token));
}

}  // namespace
}  // namespace stoa::gateway
