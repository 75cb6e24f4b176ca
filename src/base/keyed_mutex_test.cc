#include "base/keyed_mutex.h"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace stoa {
namespace {

TEST(KeyedMutex, WaitsForItsOwnKeyOnly) {
  KeyedMutex mutex;
  std::atomic<bool> entered = false;
  std::thread second;
  {
    const auto first = mutex.lock("a");
    second = std::thread([&] {
      const auto lock = mutex.lock("a");
      entered = true;
    });
    for (const char* other : {"b", "c", "b"}) const auto lock = mutex.lock(other);
    EXPECT_FALSE(entered);
    EXPECT_EQ(mutex.keys(), 1u) << "what nobody holds takes no memory";
  }
  second.join();
  EXPECT_TRUE(entered);
  EXPECT_EQ(mutex.keys(), 0u);
}

TEST(KeyedMutex, OneAtATime) {
  KeyedMutex mutex;
  std::array<int, 3> counts{};
  {
    std::vector<std::jthread> threads;
    for (std::size_t t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        for (std::size_t i = 0; i < 3000; ++i) {
          const std::size_t key = (i + t) % counts.size();
          const auto lock = mutex.lock(std::to_string(key));
          ++counts[key];
        }
      });
  }
  for (const int count : counts) EXPECT_EQ(count, 4000);
}

}  // namespace
}  // namespace stoa
