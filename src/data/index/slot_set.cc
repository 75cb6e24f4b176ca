#include "data/index/slot_set.h"

#include <algorithm>
#include <iterator>
#include <limits>

namespace stoa::data {

// The leaf that has the slot, or would have it. There is one.
std::vector<SlotSet::Leaf>::iterator SlotSet::leaf_of(std::uint32_t slot) {
  const auto after = std::ranges::upper_bound(leaves_, slot, {}, [](const Leaf& leaf) { return leaf.front(); });
  return after == leaves_.begin() ? after : std::prev(after);
}

void SlotSet::insert(std::span<const std::uint32_t> slots) {
  if (leaves_.empty() && !slots.empty()) {
    leaves_.emplace_back(1, slots.front());
  }
  while (!slots.empty()) {
    auto leaf = leaf_of(slots.front());
    auto place = std::ranges::lower_bound(*leaf, slots.front());
    if (place != leaf->end() && *place == slots.front()) {
      slots = slots.subspan(1);
      continue;
    }
    // As many as come before the next that is there.
    const std::uint64_t next = place != leaf->end() ? *place : std::next(leaf) != leaves_.end() ? std::next(leaf)->front() : std::uint64_t{std::numeric_limits<std::uint32_t>::max()} + 1;
    const auto most = slots.first(std::min(slots.size(), kMost));
    const auto run = slots.first(static_cast<std::size_t>(std::ranges::lower_bound(most, next, {}, [](std::uint32_t slot) { return std::uint64_t{slot}; }) - most.begin()));
    const bool at_the_end = place == leaf->end();
    leaf->insert(place, run.begin(), run.end());
    slots = slots.subspan(run.size());
    if (leaf->size() <= kMost) continue;
    // Full leaves where slots ascend, as those of a new collection do.
    const auto middle = leaf->begin() + static_cast<std::ptrdiff_t>(at_the_end ? kMost : leaf->size() / 2);
    Leaf rest(middle, leaf->end());
    leaf->erase(middle, leaf->end());
    leaves_.insert(std::next(leaf), std::move(rest));
  }
}

void SlotSet::erase(std::span<const std::uint32_t> slots) {
  while (!slots.empty() && !leaves_.empty()) {
    const auto leaf = leaf_of(slots.front());
    const auto place = std::ranges::lower_bound(*leaf, slots.front());
    const auto [end, rest] = std::ranges::mismatch(std::ranges::subrange(place, leaf->end()), slots);
    const auto run = static_cast<std::size_t>(end - place);
    leaf->erase(place, end);
    slots = slots.subspan(std::max<std::size_t>(run, 1));
    if (leaf->empty()) leaves_.erase(leaf);
  }
}

}  // namespace stoa::data
