// Deterministic automata over bytes, with calls of rules as further symbols. Those without calls are regular languages and form an algebra.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"

namespace stoa::models::constrain {

struct DfaEdge {
  std::uint8_t first = 0, last = 0;  // bytes, inclusive
  std::uint32_t to = 0;
};

// Calls rule `rule` (`counter` < 0) or goes through counter `counter`, and goes on in `to`.
struct DfaCall {
  std::uint32_t rule = 0;
  std::int32_t counter = -1;
  std::uint32_t to = 0;
};

struct DfaState {
  std::vector<DfaEdge> edges;  // ascending, disjoint
  std::vector<DfaCall> calls;
  bool final = false;
};

// Starts in state 0. Without states: the empty language.
struct Dfa {
  std::vector<DfaState> states;
};

// What both accept; what `a` accepts and `b` does not. Only for automata without calls. States that lead nowhere are left out.
// kTooLarge beyond `max_states`.
Result<Dfa> intersection(const Dfa& a, const Dfa& b, std::size_t max_states);
Result<Dfa> difference(const Dfa& a, const Dfa& b, std::size_t max_states);

}  // namespace stoa::models::constrain
