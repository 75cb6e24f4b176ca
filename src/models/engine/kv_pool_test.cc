#include "models/engine/kv_pool.h"

#include <set>

#include <gtest/gtest.h>

namespace stoa::models {
namespace {

const KvLayout kSmall{.layers = 2, .kv_heads = 1, .head_dim = 16, .type = KvType::kF16};

TEST(KvPool, HandsOutEachPageOnceAndTakesItBack) {
  auto pool = KvPool::create(kSmall, kSmall.page_bytes() * 4 + 100);
  ASSERT_TRUE(pool);
  EXPECT_EQ(pool->pages(), 4);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool->allocate(3, pages));
  EXPECT_FALSE(pool->allocate(2, pages));
  EXPECT_EQ(pages.size(), 3u);
  ASSERT_TRUE(pool->allocate(1, pages));
  EXPECT_EQ(std::set<PageId>(pages.begin(), pages.end()).size(), 4u);
  for (const auto page : pages) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(pool->data(page)) % 64, 0u);
    pool->data(page)[kSmall.page_bytes() - 1] = std::byte{1};
  }
  pool->retain(pages[0]);
  for (const auto page : pages) pool->release(page);
  EXPECT_EQ(pool->used_pages(), 1);
  pool->release(pages[0]);
  EXPECT_EQ(pool->used_pages(), 0);
}

TEST(KvPool, ACachedPageIsNeitherUsedNorFreeUntilItIsDropped) {
  auto pool = KvPool::create(kSmall, kSmall.page_bytes() * 3);
  ASSERT_TRUE(pool);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool->allocate(2, pages));
  const auto counts = [&] { return std::vector<int>{pool->used_pages(), pool->cached_pages(), pool->free_pages()}; };
  pool->keep(pages[0]);
  EXPECT_EQ(counts(), (std::vector<int>{2, 0, 1}));
  pool->data(pages[0])[100] = std::byte{7};
  pool->release(pages[0]);
  EXPECT_EQ(counts(), (std::vector<int>{1, 1, 1}));
  pool->data(pages[1])[100] = std::byte{7};
  pool->release(pages[1]);
  EXPECT_EQ(counts(), (std::vector<int>{0, 1, 2}));
  pool->return_memory();
  EXPECT_EQ(pool->data(pages[0])[100], std::byte{7}) << "what is cached stays";
  EXPECT_FALSE(pool->used(pages[0]));
  pool->retain(pages[0]);
  EXPECT_EQ(counts(), (std::vector<int>{1, 0, 2}));
  pool->drop(pages[0]);  // while it is used: it becomes free later
  EXPECT_EQ(counts(), (std::vector<int>{1, 0, 2}));
  pool->release(pages[0]);
  EXPECT_EQ(counts(), (std::vector<int>{0, 0, 3}));
}

TEST(KvPool, RefusesABudgetBelowOnePage) {
  const auto pool = KvPool::create(kSmall, kSmall.page_bytes() - 1);
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace stoa::models
