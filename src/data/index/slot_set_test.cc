#include "data/index/slot_set.h"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace stoa::data {
namespace {

std::vector<std::uint32_t> held(const SlotSet& set) {
  std::vector<std::uint32_t> slots;
  set.for_each([&](std::uint32_t slot) { slots.push_back(slot); });
  return slots;
}

// Beside std::set: runs as documents have them, mixed ones as after removals, what is there already and what is not.
TEST(SlotSet, HoldsWhatWasInsertedAndNotErased) {
  std::mt19937 random(5);
  SlotSet set;
  std::set<std::uint32_t> twin;
  for (int step = 0; step < 4000; ++step) {
    std::set<std::uint32_t> some;
    const std::uint32_t first = random() % 20'000, count = step % 100 == 0 ? 1500 : random() % 60, stride = random() % 3 == 0 ? 7 : 1;
    for (std::uint32_t i = 0; i < count; ++i) some.insert(first + i * stride);
    const std::vector<std::uint32_t> slots(some.begin(), some.end());
    if (step / 500 % 2 == 0 ? random() % 4 != 0 : random() % 4 == 0) {
      set.insert(slots);
      twin.insert(slots.begin(), slots.end());
    } else {
      set.erase(slots);
      for (const auto slot : slots) twin.erase(slot);
    }
    ASSERT_EQ(set.empty(), twin.empty());
    ASSERT_TRUE(step % 20 != 0 || std::ranges::equal(held(set), twin)) << step;
  }
  set.erase(std::vector<std::uint32_t>(twin.begin(), twin.end()));
  EXPECT_TRUE(set.empty());
  const std::uint32_t greatest = 0xFFFFFFFF;
  set.insert(std::span(&greatest, 1));
  set.insert(std::span(&greatest, 1));
  EXPECT_EQ(held(set), std::vector<std::uint32_t>{greatest});
}

}  // namespace
}  // namespace stoa::data
