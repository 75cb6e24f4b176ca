// Stacks of the pushdown automaton, shared: equal stacks have equal numbers, and a stack is a number and its parents.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "models/constrain/automaton.h"

namespace stoa::models::constrain {

using StackId = std::uint32_t;
inline constexpr StackId kBottom = 0;    // of a whole output: nothing may follow
inline constexpr StackId kUnknown = 1;   // whatever was pushed before: what is computed above it holds for every stack

struct Frame {
  FrameTarget target = 0;
  std::uint32_t rounds = 0;  // of a counter: begun so far
  StackId parent = 0;
  std::uint32_t depth = 0;
};

// Numbers are dense and only grow, so that a walk can forget what it pushed. One thread at a time; copyable.
class StackPool {
 public:
  StackPool();

  // kNoState when the stack is deeper than kMaxDepth.
  StackId push(StackId parent, FrameTarget target, std::uint32_t rounds);
  const Frame& operator[](StackId id) const { return nodes_[id].frame; }
  std::size_t size() const { return nodes_.size(); }
  // Forgets everything pushed since size() was `size`.
  void forget(std::size_t size);
  // Keeps only the stacks named and their parents, renumbering the names.
  void compact(std::span<StackId* const> live);

  static constexpr std::uint32_t kMaxDepth = 1024;

 private:
  struct Node {
    Frame frame;
    StackId older = 0;     // next in its bucket; 0 ends the chain
  };
  std::size_t bucket(StackId parent, FrameTarget target, std::uint32_t rounds) const {
    const std::uint64_t key = (std::uint64_t{parent} << 32 | target) * 0x9E3779B97F4A7C15ULL + rounds * 0xD6E8FEB86659FD93ULL;
    return static_cast<std::size_t>(key >> 32) & (buckets_.size() - 1);
  }
  void grow();

  std::vector<Node> nodes_;
  std::vector<StackId> buckets_;
};

}  // namespace stoa::models::constrain
