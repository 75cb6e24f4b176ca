#include "base/parallel.h"

#include <gtest/gtest.h>

#include <new>
#include <vector>

namespace stoa {
namespace {

TEST(InParallel, EachPartOnce) {
  for (const int threads : {-1, 0, 1, 3, 50}) {
    for (const std::size_t count : {0, 1, 2, 200}) {
      std::vector<std::atomic<int>> calls(count);
      EXPECT_TRUE(in_parallel(count, threads, [&](std::size_t i) { return ++calls[i] == 1; }));
      for (const auto& each : calls) EXPECT_EQ(each, 1);
    }
  }
}

TEST(InParallel, EndsEarly) {
  for (const int threads : {1, 4}) {
    std::atomic<std::size_t> begun = 0;
    EXPECT_FALSE(in_parallel(10'000'000, threads, [&](std::size_t i) { return ++begun, i != 5; }));
    EXPECT_LT(begun, 10'000'000u);
    EXPECT_THROW(in_parallel(100, threads, [&](std::size_t i) -> bool { return i == 70 ? throw std::bad_alloc() : true; }), std::bad_alloc);
  }
}

}  // namespace
}  // namespace stoa
