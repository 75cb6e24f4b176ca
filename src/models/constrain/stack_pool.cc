#include "models/constrain/stack_pool.h"

#include <algorithm>

namespace stoa::models::constrain {

StackPool::StackPool() : nodes_(2), buckets_(64, 0) {}

StackId StackPool::push(StackId parent, FrameTarget target, std::uint32_t rounds) {
  const std::uint32_t depth = nodes_[parent].frame.depth + 1;
  if (depth > kMaxDepth) return kNoState;
  std::size_t at = bucket(parent, target, rounds);
  for (StackId id = buckets_[at]; id != 0; id = nodes_[id].older) {
    const Frame& frame = nodes_[id].frame;
    if (frame.parent == parent && frame.target == target && frame.rounds == rounds) return id;
  }
  if (nodes_.size() > 2 * buckets_.size()) {
    grow();
    at = bucket(parent, target, rounds);
  }
  const auto id = static_cast<StackId>(nodes_.size());
  nodes_.push_back({{target, rounds, parent, depth}, buckets_[at]});
  buckets_[at] = id;
  return id;
}

// A bucket's chain runs from the newest to the oldest, so that the last node is always at a chain's head.
void StackPool::forget(std::size_t size) {
  while (nodes_.size() > size) {
    const Node& node = nodes_.back();
    buckets_[bucket(node.frame.parent, node.frame.target, node.frame.rounds)] = node.older;
    nodes_.pop_back();
  }
}

void StackPool::grow() {
  buckets_.assign(buckets_.size() * 2, 0);
  for (StackId id = 2; id < nodes_.size(); ++id) {
    const Frame& frame = nodes_[id].frame;
    StackId& head = buckets_[bucket(frame.parent, frame.target, frame.rounds)];
    nodes_[id].older = head;
    head = id;
  }
}

void StackPool::compact(std::span<StackId* const> live) {
  std::vector<StackId> moved(nodes_.size(), 0);
  moved[kBottom] = 1;  // marks
  moved[kUnknown] = 1;
  for (const StackId* id : live)
    for (StackId at = *id; moved[at] == 0; at = nodes_[at].frame.parent) moved[at] = 1;
  StackPool kept;
  moved[kBottom] = kBottom;
  moved[kUnknown] = kUnknown;
  for (StackId id = 2; id < nodes_.size(); ++id)  // parents come before their children
    if (moved[id] != 0) moved[id] = kept.push(moved[nodes_[id].frame.parent], nodes_[id].frame.target, nodes_[id].frame.rounds);
  for (StackId* id : live) *id = moved[*id];
  *this = std::move(kept);
}

}  // namespace stoa::models::constrain
