#include "base/id.h"

#include <algorithm>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace stoa {
namespace {

TEST(Id, RisesWithinAProcess) {
  std::string last = new_id("doc");
  for (int i = 0; i < 20'000; ++i) {
    std::string next = new_id("doc");
    ASSERT_LT(last, next) << i;
    ASSERT_TRUE(is_id(next, "doc")) << next;
    last = std::move(next);
  }
}

TEST(Id, IsUniqueOverThreads) {
  constexpr int kThreads = 4, kEach = 5'000;
  std::vector<std::vector<std::string>> made(kThreads);
  {
    std::vector<std::jthread> threads;
    for (auto& ids : made)
      threads.emplace_back([&ids] {
        for (int i = 0; i < kEach; ++i) ids.push_back(new_id("x"));
      });
  }
  std::vector<std::string> all;
  for (const auto& ids : made) {
    EXPECT_TRUE(std::ranges::is_sorted(ids));
    all.insert(all.end(), ids.begin(), ids.end());
  }
  std::ranges::sort(all);
  EXPECT_EQ(std::ranges::adjacent_find(all), all.end());
}

TEST(Id, KnowsItsOwn) {
  const std::string id = new_id("doc");
  struct Case {
    std::string text, prefix;
    bool good;
  };
  for (const auto& test : {Case{id, "doc", true}, Case{id, "vs", false}, Case{id + "0", "doc", false}, Case{id.substr(0, id.size() - 1), "doc", false}, Case{"", "doc", false},
                           Case{"doc_" + std::string(26, 'u'), "doc", false}, Case{"doc_" + std::string(26, 'A'), "doc", false}, Case{"doc_" + std::string(26, '/'), "doc", false}})
    EXPECT_EQ(is_id(test.text, test.prefix), test.good) << test.text;
}

}  // namespace
}  // namespace stoa
