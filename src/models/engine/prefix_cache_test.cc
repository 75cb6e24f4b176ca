#include "models/engine/prefix_cache.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

const KvLayout kSmall{.layers = 1, .kv_heads = 1, .head_dim = 16, .type = KvType::kF16};

using Tokens = std::vector<std::int32_t>;

Tokens counting(int count, int first = 0) {
  Tokens tokens(static_cast<std::size_t>(count));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class PrefixCacheTest : public testing::Test {
 protected:
  // A sequence as the scheduler has it.
  struct Sequence {
    PrefixCache::Place place;
    std::vector<PageId> pages;
  };

  void make(int pages, int limit, int window = 0) {
    cache_.reset();
    pool_.emplace(*KvPool::create(kSmall, kSmall.page_bytes() * static_cast<std::size_t>(pages)));
    cache_.emplace(*pool_, limit, window);
  }
  // Takes what the cache has and computes the rest. Returns the pages found.
  int run(Sequence& sequence, const Tokens& tokens, const std::string& salt = "a") {
    const int found = cache_->follow(salt, sequence.place, tokens, sequence.pages);
    EXPECT_TRUE(cache_->allocate(pages_for(static_cast<int>(tokens.size())) - found, sequence.pages));
    cache_->add(salt, sequence.place, tokens, sequence.pages);
    return found;
  }
  void end(Sequence& sequence) {
    cache_->touch(sequence.place);
    for (const auto page : sequence.pages) {
      if (page != kNoPage) pool_->release(page);
    }
    sequence = {};
    cache_->trim();
  }
  // The same in steps of a page, giving up what the window has passed. Returns the most pages held after a step.
  int walk(Sequence& sequence, const Tokens& tokens) {
    int most = 0, found = cache_->follow("a", sequence.place, tokens, sequence.pages);
    for (const int all = static_cast<int>(tokens.size()) / kPageTokens; found < all; ++found) {
      EXPECT_TRUE(cache_->allocate(1, sequence.pages));
      const int computed = (found + 1) * kPageTokens;
      cache_->add("a", sequence.place, std::span(tokens).first(static_cast<std::size_t>(computed)), sequence.pages);
      for (int page = 0; page < cache_->first_needed(computed); ++page) {
        auto& given = sequence.pages[static_cast<std::size_t>(page)];
        if (given != kNoPage) pool_->release(std::exchange(given, kNoPage));
      }
      most = std::max(most, pool_->used_pages());
    }
    return most;
  }
  // run() from beginning to end.
  int pass(const Tokens& tokens, const std::string& salt = "a") {
    Sequence sequence;
    const int found = run(sequence, tokens, salt);
    end(sequence);
    return found;
  }

  std::optional<KvPool> pool_;
  std::optional<PrefixCache> cache_;
};

TEST_F(PrefixCacheTest, FindsTheLongestPrefixOfFullPages) {
  make(64, 64);
  EXPECT_EQ(pass(counting(100)), 0);
  EXPECT_EQ(pool_->cached_pages(), 3);
  auto branch = counting(100);
  branch[70] = -1;
  auto other = counting(100);
  other[0] = -1;
  const struct {
    const char* name;
    Tokens tokens;
    int found;
  } cases[] = {{"the same", counting(100), 3},   {"one more", counting(101), 3},    {"a part", counting(64), 2},
               {"less than a page", counting(31), 0}, {"another third page", branch, 2}, {"another beginning", other, 0},
               {"now both are there", branch, 3}, {"the first still", counting(100), 3}, {"a page in another place", counting(64, 32), 0}};
  for (const auto& c : cases) EXPECT_EQ(pass(c.tokens), c.found) << c.name;
  EXPECT_EQ(pool_->used_pages(), 0);
}

TEST_F(PrefixCacheTest, TenantsDoNotSeeEachOther) {
  make(64, 64);
  EXPECT_EQ(pass(counting(64), "a"), 0);
  EXPECT_EQ(pass(counting(64), "b"), 0);
  EXPECT_EQ(pass(counting(64), "b"), 2);
  EXPECT_EQ(pass(counting(64), ""), 0);
}

TEST_F(PrefixCacheTest, SequencesAtTheSameTimeShareOnePage) {
  make(64, 64);
  Sequence first, second;
  ASSERT_TRUE(cache_->allocate(2, first.pages));
  ASSERT_TRUE(cache_->allocate(2, second.pages));
  cache_->add("a", first.place, counting(64), first.pages);
  cache_->add("a", second.place, counting(64), second.pages);  // computed the same: its own pages go back
  EXPECT_EQ(first.pages, second.pages);
  EXPECT_EQ(first.place, second.place);
  EXPECT_EQ(pool_->used_pages(), 2);
  EXPECT_EQ(pool_->free_pages(), 62);
  end(first);
  EXPECT_EQ(pool_->used_pages(), 2);
  end(second);
  EXPECT_EQ(pool_->cached_pages(), 2);
}

TEST_F(PrefixCacheTest, MemoryGoesLeafFirstAndLeastRecentlyUsedFirst) {
  make(6, 6);
  pass(counting(64, 0));      // pages A0 A1
  pass(counting(64, 1000));   // B0 B1
  pass(counting(64, 0));      // A is the younger one again
  Sequence big;
  ASSERT_TRUE(cache_->allocate(3, big.pages));  // two are free: one of B has to go, its end
  EXPECT_EQ(pass(counting(32, 1000)), 1);
  EXPECT_EQ(cache_->nodes(), 3);
  std::vector<PageId> more;
  EXPECT_TRUE(cache_->allocate(3, more));
  EXPECT_EQ(cache_->nodes(), 0);
  EXPECT_FALSE(cache_->allocate(1, more));
  EXPECT_EQ(more.size(), 3u);
}

TEST_F(PrefixCacheTest, PagesInUseAreNeverTaken) {
  make(4, 4);
  Sequence held;
  run(held, counting(64));
  pass(counting(64, 500));
  std::vector<PageId> pages;
  EXPECT_FALSE(cache_->allocate(3, pages));
  EXPECT_TRUE(cache_->allocate(2, pages));
  Sequence again;
  EXPECT_EQ(run(again, counting(64)), 2);
  end(held);
  EXPECT_FALSE(cache_->allocate(1, pages));
  end(again);
  EXPECT_TRUE(cache_->allocate(2, pages));
}

TEST_F(PrefixCacheTest, KeepsNoMoreThanItsLimitAndNothingWhenOff) {
  make(16, 3);
  pass(counting(32 * 5));
  EXPECT_EQ(pool_->cached_pages(), 3);
  EXPECT_EQ(pass(counting(32 * 5)), 3) << "the beginning is what stays";
  make(16, 0);
  pass(counting(64));
  EXPECT_EQ(pass(counting(64)), 0);
  EXPECT_EQ(pool_->free_pages(), 16);
}

TEST_F(PrefixCacheTest, ManyPromptsInLittleMemoryLeaveNothingBehind) {
  make(8, 8);
  for (int i = 0; i < 200; ++i) pass(counting(32 * (1 + i % 7), i * 10'000), std::to_string(i % 5));
  std::vector<PageId> all;
  EXPECT_TRUE(cache_->allocate(8, all));
  EXPECT_EQ(cache_->nodes(), 0);
}

TEST_F(PrefixCacheTest, WhatAWindowHasPassedMakesWay) {
  make(8, 8, 64);
  const auto tokens = counting(320);
  Sequence first;
  EXPECT_EQ(walk(first, tokens), 2);  // ten pages in a pool of eight
  EXPECT_EQ(pool_->used_pages(), 2);
  EXPECT_EQ(pool_->cached_pages(), 6);  // the first two had to go
  EXPECT_EQ(cache_->nodes(), 10);
  end(first);

  // Behind a prefix can begin who finds the pages that its window shows.
  for (const auto& [size, found] : {std::pair{96, 0}, {128, 4}, {160, 5}, {320, 10}}) {
    Sequence later;
    EXPECT_EQ(cache_->follow("a", later.place, std::span(tokens).first(static_cast<std::size_t>(size)), later.pages), found) << size;
    EXPECT_EQ(pool_->used_pages(), found == 0 ? 0 : 2) << size;
    EXPECT_EQ(std::ranges::count(later.pages, kNoPage), std::max(0, found - 2)) << size;
    end(later);
  }
  // Who computes what is missing puts it back; three leaves make way.
  Sequence again;
  EXPECT_EQ(walk(again, counting(96)), 2);
  end(again);
  EXPECT_EQ(cache_->nodes(), 7);
  Sequence third;
  EXPECT_EQ(cache_->follow("a", third.place, counting(96), third.pages), 3);
  end(third);

  std::vector<PageId> all;
  EXPECT_TRUE(cache_->allocate(8, all));
  EXPECT_EQ(cache_->nodes(), 0);
}

TEST_F(PrefixCacheTest, ASequenceNeverGivesUpItsLastFullPage) {
  make(4, 4, 5);  // a window smaller than a page
  Sequence sequence;
  EXPECT_EQ(walk(sequence, counting(320)), 1);
  EXPECT_NE(sequence.pages.back(), kNoPage);
  std::vector<PageId> rest;
  EXPECT_TRUE(cache_->allocate(3, rest));
  EXPECT_FALSE(cache_->allocate(1, rest));
  end(sequence);
  EXPECT_TRUE(cache_->allocate(1, rest));
  EXPECT_EQ(cache_->nodes(), 0);
}

}  // namespace
}  // namespace stoa::models
