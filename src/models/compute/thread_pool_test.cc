#include <atomic>
#include <numeric>

#include <gtest/gtest.h>

#include "models/compute/thread_pool.h"

namespace stoa::models {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (const int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const std::int64_t n : {0, 1, 2, 7, 100, 1000}) {
      for (const std::int64_t grain : {0, 1, 3, 100, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
        pool.parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end, int thread) {
          EXPECT_TRUE(thread >= 0 && thread < threads);
          for (std::int64_t i = begin; i < end; ++i) seen[static_cast<std::size_t>(i)].fetch_add(1);
        });
        for (const auto& count : seen) ASSERT_EQ(count.load(), 1) << threads << " threads, n " << n << " grain " << grain;
      }
    }
  }
}

// Many short regions in a row, some after the workers have gone to sleep.
TEST(ThreadPool, RegionsDoNotMix) {
  ThreadPool pool(3);
  for (int region = 0; region < 3000; ++region) {
    std::vector<int> out(7, -1);
    pool.parallel_for(7, 1, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t i = begin; i < end; ++i) out[static_cast<std::size_t>(i)] = region;
    });
    for (const int value : out) ASSERT_EQ(value, region);
    if (region % 1000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

TEST(ThreadPool, CallersTakeTurns) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> total{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        pool.parallel_for(10, 2, [&](std::int64_t begin, std::int64_t end, int) { total.fetch_add(end - begin); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total.load(), 3 * 200 * 10);
}

}  // namespace
}  // namespace stoa::models
