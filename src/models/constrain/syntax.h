// What all grammar notations are read into: rules over expressions. compile.h makes an automaton of it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/constrain/dfa.h"
#include "models/constrain/grammar.h"
#include "models/constrain/rune_set.h"

namespace stoa::models::constrain {

using NodeId = std::uint32_t;
using RuleId = std::uint32_t;

enum class NodeKind : std::uint8_t {
  kNever,     // nothing matches
  kText,      // these bytes
  kRunes,     // one character of a set; `json`: as JSON writes it inside a string, escaped only where it has to be
  kSequence,
  kChoice,
  kRepeat,    // children[0], min to max times; max kUnlimited for any number
  kList,      // children in order with `separator` between those that are present; `flags` says what may be missing or repeated
  kRule,
  kDfa,       // a regular language made beforehand
};

inline constexpr int kUnlimited = -1;
inline constexpr std::uint8_t kOptional = 1, kRepeated = 2;  // flags of a kList item; kRepeated: any number, none included

struct SyntaxNode {
  NodeKind kind = NodeKind::kNever;
  bool json = false;
  int min = 0, max = 0;
  std::uint32_t index = 0;       // rule, rune set, or DFA
  NodeId separator = 0;
  std::string text;
  std::vector<NodeId> children;
  std::vector<std::uint8_t> flags;
};

struct SyntaxRule {
  std::string name;              // for messages
  NodeId body = 0;
  bool defined = false;
  bool shared = false;           // never copied into its users: its states, and the masks cached for them, serve all of them
};

// Grows by its functions, never shrinks. Beyond the limits nothing more is added and status() tells.
class Syntax {
 public:
  explicit Syntax(const GrammarLimits& limits) : limits_(limits) { nodes_.emplace_back(); }

  NodeId never() const { return 0; }
  NodeId text(std::string_view bytes);
  NodeId runes(RuneSet set, bool json = false);
  NodeId sequence(std::vector<NodeId> parts);
  NodeId choice(std::vector<NodeId> parts);
  NodeId optional(NodeId part) { return repeat(part, 0, 1); }
  NodeId repeat(NodeId part, int min, int max);
  NodeId list(std::vector<NodeId> items, std::vector<std::uint8_t> flags, NodeId separator);
  NodeId rule(RuleId id);
  NodeId dfa(Dfa dfa);

  RuleId add_rule(std::string name, bool shared = false);
  void define(RuleId rule, NodeId body);

  const SyntaxNode& node(NodeId id) const { return nodes_[id]; }
  const SyntaxRule& rule_of(RuleId id) const { return rules_[id]; }
  const RuneSet& rune_set(std::uint32_t index) const { return sets_[index]; }
  const Dfa& dfa_of(std::uint32_t index) const { return dfas_[index]; }
  std::size_t nodes() const { return nodes_.size(); }
  std::size_t rules() const { return rules_.size(); }
  const GrammarLimits& limits() const { return limits_; }

  // kTooLarge once a limit was met.
  Status status() const;

 private:
  NodeId add(SyntaxNode node);

  GrammarLimits limits_;
  std::vector<SyntaxNode> nodes_;
  std::vector<SyntaxRule> rules_;
  std::vector<RuneSet> sets_;
  std::vector<Dfa> dfas_;
  std::size_t dfa_states_ = 0;
  std::string exceeded_;
};

}  // namespace stoa::models::constrain
