// Thompson's construction over syntax nodes, and the subset construction.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "base/result.h"
#include "models/constrain/dfa.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

// What the construction asks its user about rules and large repetitions; compile.cc answers for grammars, and regular languages have neither.
struct NfaHooks {
  std::function<bool(RuleId)> inlined;                       // copy this rule's body here
  std::function<bool(const SyntaxNode& repeat)> counted;     // make this repetition a counter
  std::function<Result<std::uint32_t>(NodeId repeat)> counter;  // its number
};

class Nfa {
 public:
  Nfa(const Syntax& syntax, const NfaHooks& hooks) : syntax_(syntax), hooks_(hooks) {}

  // Builds the automaton of a node. Once an object.
  Status build(NodeId node);
  // kTooLarge beyond the states or the work that the limits allow. `work` counts up over several automata.
  Result<Dfa> determinise(std::size_t& work) const;

 private:
  using State = std::uint32_t;
  struct Node {
    std::vector<State> free;           // reached without a byte
    std::vector<DfaEdge> edges;
    std::vector<DfaCall> calls;
  };
  struct Piece {
    State from, to;
  };

  State add();
  void link(State from, State to) { nodes_[from].free.push_back(to); }
  Result<Piece> piece(NodeId id, int depth);
  Result<Piece> repeat(NodeId id, int depth);
  Result<Piece> list(const SyntaxNode& node, int depth);
  void runes(const SyntaxNode& node, Piece piece);
  void copy(const Dfa& dfa, Piece piece);
  void close(std::vector<State>& set, std::vector<std::uint32_t>& seen, std::uint32_t stamp) const;

  const Syntax& syntax_;
  const NfaHooks& hooks_;
  std::vector<Node> nodes_;
  Piece all_{0, 0};
};

}  // namespace stoa::models::constrain
