#include "contracts/access_list.h"

#include <gtest/gtest.h>

namespace stoa {
namespace {

void check_key(std::string_view text, std::string_view expected) {
  const auto list = AccessList::parse(text);
  if (expected.empty()) {
    EXPECT_FALSE(list.has_value()) << text;
    return;
  }
  ASSERT_TRUE(list.has_value()) << text;
  EXPECT_EQ(list->key(), expected);
  EXPECT_EQ(AccessList::parse(list->key()), *list);
}

TEST(AccessList, ParsesToCanonicalText) {
  check_key("public", "public");
  check_key("private", "private");
  check_key("user:bob,user:ann,user:bob", "user:ann,user:bob");
  check_key("group:eng,user:ann@example.com", "user:ann@example.com,group:eng");
  check_key("user:ann,public", "public");
  for (const char* bad : {"", "ann", "user:", "group:a b", "user:a,,user:b", "role:x", "user:a;b"}) check_key(bad, "");
  check_key("user:" + std::string(129, 'a'), "");
  std::string many = "user:a";
  for (int i = 0; i < 256; ++i) many += ",user:a" + std::to_string(i);
  check_key(many, "");
}

void check_read(std::string user, std::vector<std::string> groups, std::string_view list, std::string_view entry) {
  Principal principal;
  principal.user = std::move(user);
  principal.groups = std::move(groups);
  EXPECT_EQ(may_read(principal, *AccessList::parse(list)), !entry.empty()) << list;
  EXPECT_EQ(permitting_entry(principal, *AccessList::parse(list)), entry) << list;
}

TEST(AccessList, LetsInWhoIsNamed) {
  check_read("", {}, "public", "public");
  check_read("ann", {"eng"}, "private", "");
  check_read("ann", {}, "user:ann", "user:ann");
  check_read("bob", {}, "user:ann", "");
  check_read("", {}, "user:ann", "");
  check_read("bob", {"eng", "ops"}, "user:ann,group:ops", "group:ops");
  check_read("ops", {}, "group:ops", "");
  EXPECT_FALSE(may_read(Principal{}, AccessList{}));
}

}  // namespace
}  // namespace stoa
