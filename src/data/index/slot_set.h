// A set of slots in ascending order that may be large: what comes and goes moves little of it. Internal to this folder; its owner holds the lock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace stoa::data {

inline std::vector<std::uint32_t> ascending(std::span<const std::uint32_t> slots) {
  std::vector<std::uint32_t> sorted(slots.begin(), slots.end());
  std::ranges::sort(sorted);
  return sorted;
}

class SlotSet {
 public:
  // Both ascending. Neither minds what is there, or not there, already.
  void insert(std::span<const std::uint32_t> slots);
  void erase(std::span<const std::uint32_t> slots);
  bool empty() const { return leaves_.empty(); }
  std::size_t size() const {
    std::size_t size = 0;
    for (const Leaf& leaf : leaves_) size += leaf.size();
    return size;
  }
  // Whether visit() returns true of one of them.
  template <class Visit>
  bool any_of(Visit visit) const {
    return std::ranges::any_of(leaves_, [&](const Leaf& leaf) { return std::ranges::any_of(leaf, visit); });
  }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& leaf : leaves_)
      for (const std::uint32_t slot : leaf) visit(slot);
  }

 private:
  using Leaf = std::vector<std::uint32_t>;  // never empty
  static constexpr std::size_t kMost = 512;  // slots of a leaf
  std::vector<Leaf>::iterator leaf_of(std::uint32_t slot);

  std::vector<Leaf> leaves_;
};

}  // namespace stoa::data
