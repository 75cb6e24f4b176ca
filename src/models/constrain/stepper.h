// One byte through a set of configurations of the pushdown automaton.
#pragma once

#include <cstdint>
#include <vector>

#include "models/constrain/automaton.h"
#include "models/constrain/stack_pool.h"

namespace stoa::models::constrain {

struct Configuration {
  std::uint32_t state = 0;
  StackId stack = kBottom;
  bool operator==(const Configuration&) const = default;
};

// Where a grammar may be after some bytes. Only configurations that can read a byte are listed: calls and returns are done.
struct Position {
  std::vector<Configuration> alive;
  bool complete = false;                 // the whole output may end here
  std::vector<std::uint32_t> escapes;    // over kUnknown: ways in which the bottom was popped, as rounds of its counter (0 without one)
  // An ambiguous grammar may be in many places at once; beyond this the rest is dropped, and with it what only they would allow.
  static constexpr std::size_t kMaxAlive = 192;
  bool empty() const { return alive.empty() && !complete && escapes.empty(); }
  void clear() { alive.clear(), complete = false, escapes.clear(); }
};

// Stands for "the counter on top of an unknown stack" in FrameTarget: any of the counters whose body begins at `state`.
inline constexpr FrameTarget kAnyCounterBit = 0x40000000;

class Stepper {
 public:
  Stepper(const Automaton& automaton, StackPool& stacks) : automaton_(automaton), stacks_(stacks) {}

  // Adds a configuration with all its calls and returns to `out`.
  void arrive(Configuration configuration, Position& out);
  // Replaces `to` by what follows `from` after `byte`.
  void step(const Position& from, std::uint8_t byte, Position& to);
  // Adds what stands behind the top of `stack`, which is not kBottom (a counter begins no other round).
  void behind(StackId stack, Position& out);
  // Comparisons and visits so far: what a walk is limited by.
  std::uint64_t work() const { return work_; }

  // Of one byte; beyond it the places not reached yet are dropped, as beyond Position::kMaxAlive.
  static constexpr std::uint64_t kMaxStepWork = 100'000;

 private:
  void pop(StackId stack, std::uint32_t rounds, Position& out);
  void visit(std::uint32_t state, StackId stack);

  const Automaton& automaton_;
  StackPool& stacks_;
  std::uint64_t work_ = 0;
  std::vector<Configuration> todo_;      // met in this closure
};

}  // namespace stoa::models::constrain
