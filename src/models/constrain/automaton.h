// A compiled grammar: a pushdown automaton over bytes. Rules are deterministic automata of their own; what a rule calls is pushed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace stoa::models::constrain {

inline constexpr std::uint32_t kNoState = 0xFFFFFFFF;

// Where a called rule returns to: a state, or (with kCounterBit) a counter that decides between another round and going on.
using FrameTarget = std::uint32_t;
inline constexpr FrameTarget kCounterBit = 0x80000000;

struct CallEdge {
  std::uint32_t callee = 0;  // the state to go to
  FrameTarget frame = 0;     // what is pushed
  bool tail = false;         // nothing is: the caller would only return
};

// x{min,max} for an x too large to be written out. Its frame carries the number of rounds begun.
struct Counter {
  std::uint32_t body = 0;    // first state of x, which never matches nothing
  std::uint32_t min = 0;
  std::uint32_t max = 0;     // kNoState: any number
  std::uint32_t next = 0;    // the state after it
};

struct Automaton {
  static constexpr std::uint8_t kFinal = 1;     // the rule may end here
  static constexpr std::uint8_t kBytes = 2;     // has transitions over bytes
  static constexpr std::uint8_t kPlain = 4;     // nothing but transitions over bytes

  std::array<std::uint8_t, 256> byte_class{};   // bytes that no state tells apart share a class
  std::uint32_t classes = 0;
  std::vector<std::uint16_t> class_size;        // bytes of each class
  std::vector<std::uint8_t> class_byte;         // one of them
  std::vector<std::uint32_t> table;             // [state * classes + class]
  std::vector<std::uint8_t> flags;              // by state
  std::vector<std::uint32_t> call_begin;        // calls of state s: [call_begin[s], call_begin[s + 1])
  std::vector<CallEdge> calls;
  std::vector<Counter> counters;
  std::uint32_t start = 0;

  std::size_t states() const { return flags.size(); }
  std::uint32_t next(std::uint32_t state, std::uint8_t byte) const { return table[std::size_t{state} * classes + byte_class[byte]]; }
  std::span<const CallEdge> calls_of(std::uint32_t state) const {
    return std::span(calls).subspan(call_begin[state], call_begin[state + 1] - call_begin[state]);
  }
};

}  // namespace stoa::models::constrain
