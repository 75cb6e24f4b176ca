// Runs the automaton over the tokens of a trie at once: what tokens share is computed once, and a dead prefix ends all that begin with it.
#pragma once

#include <algorithm>
#include <vector>

#include "models/constrain/stepper.h"
#include "models/constrain/token_trie.h"

namespace stoa::models::constrain {

class TrieWalk {
 public:
  // The automaton after the bytes of one node. With a single configuration, the common case, that alone is kept up to date.
  struct Level {
    Configuration single{kNoState, kBottom};
    Position position;
    std::uint32_t rounds = 0;         // of the counter above kUnknown; the fewest of all ways to get here, escapes included
    std::uint32_t single_rounds = 0;  // of `single`, which may have begun another round
    bool alive = false;
    bool escaped = false;        // position.escapes counts
  };

  TrieWalk(const Automaton& automaton, StackPool& stacks, const TokenTrie& trie)
      : automaton_(automaton), stacks_(stacks), trie_(trie), stepper_(automaton, stacks), levels_(TokenTrie::kMaxTokenBytes + 2) {}

  Stepper& stepper() { return stepper_; }
  // Where the next run starts: fill its position (it is empty now), then call begin().
  Position& start() {
    levels_[0].position.clear();
    return levels_[0].position;
  }
  void begin() { settle(levels_[0]); }
  // All runs from now on may do so much work together; then they end, and tokens not reached count as not allowed. Only walks over very
  // ambiguous grammars need more than a look at each node.
  void allow(std::uint64_t work) { enough_ = this->work() + work; }
  std::uint64_t work() const { return work_ + stepper_.work(); }
  bool exhausted() const { return work() >= enough_; }

  // Calls visit(node number, level) for every node below `root` that can be reached.
  template <class Visit>
  void run(std::uint32_t root, const Visit& visit) {
    ++work_;
    if (!levels_[0].alive) return;
    const auto nodes = trie_.nodes();
    const std::size_t base = nodes[root].depth;
    const std::uint32_t end = nodes[root].skip;
    for (std::uint32_t i = root + 1; i < end && !exhausted();) {
      ++work_;
      const TokenTrie::Node& node = nodes[i];
      Level& from = levels_[node.depth - base - 1];
      Level& to = levels_[node.depth - base];
      if (from.single.state != kNoState) {
        const std::uint32_t next = automaton_.next(from.single.state, node.byte);
        if (next == kNoState) {
          i = node.skip;
          continue;
        }
        if (automaton_.flags[next] & Automaton::kPlain) {
          to.single = {next, from.single.stack};
          to.rounds = to.single_rounds = from.single_rounds;
          to.alive = true;
          to.escaped = false;
        } else {
          to.position.clear();
          stepper_.arrive({next, from.single.stack}, to.position);
          settle(to);
        }
      } else {
        stepper_.step(from.position, node.byte, to.position);
        settle(to);
      }
      if (to.alive || to.escaped || to.position.complete) visit(i, to);
      i = to.alive ? i + 1 : node.skip;
    }
  }

 private:
  void settle(Level& level) {
    const Position& position = level.position;
    level.alive = !position.alive.empty();
    level.escaped = !position.escapes.empty();
    level.single = position.alive.size() == 1 ? position.alive.front() : Configuration{kNoState, kBottom};
    level.single_rounds = level.single.state == kNoState ? 0 : bottom_rounds(level.single.stack);
    level.rounds = kNoState;
    for (const std::uint32_t rounds : position.escapes) level.rounds = std::min(level.rounds, rounds);
    for (const Configuration& configuration : position.alive) level.rounds = std::min(level.rounds, bottom_rounds(configuration.stack));
  }
  std::uint32_t bottom_rounds(StackId stack) const {
    if (stack <= kUnknown) return 0;
    while (stacks_[stack].parent > kUnknown) stack = stacks_[stack].parent;
    return stacks_[stack].target & kAnyCounterBit && !(stacks_[stack].target & kCounterBit) ? stacks_[stack].rounds : 0;
  }

  const Automaton& automaton_;
  StackPool& stacks_;
  const TokenTrie& trie_;
  Stepper stepper_;
  std::vector<Level> levels_;
  std::uint64_t work_ = 0, enough_ = 0;
};

}  // namespace stoa::models::constrain
