#include "models/constrain/compile.h"

#include <algorithm>
#include <map>
#include <optional>

#include "models/constrain/nfa.h"

namespace stoa::models::constrain {
namespace {

constexpr std::size_t kInlineSize = 64;      // a rule up to this weight is copied into its users
constexpr std::size_t kInlineOnce = 20'000;  // one used once, up to this
constexpr std::size_t kWrittenOut = 96;      // a repetition up to this weight is written out, a larger one counted
constexpr int kMaxDepth = 1000;              // of rules and expressions inside one another: recursion on the stack
constexpr std::size_t kHuge = 1'000'000'000;

NfaHooks regular_hooks() {
  return {.inlined = [](RuleId) { return false; },
          .counted = [](const SyntaxNode&) { return false; },
          .counter = [](NodeId) -> Result<std::uint32_t> { return 0; }};
}

// Chooses what is inlined and counted, makes an automaton of each rule that is left, and puts them into one table.
class Compiler {
 public:
  Compiler(const Syntax& syntax, RuleId root) : syntax_(syntax), root_(root), rules_(syntax.rules()), nodes_(syntax.nodes()) {}

  Result<Automaton> run() {
    STOA_CHECK(visit_rule(root_, 0));
    for (const RuleId id : bottom_up_) {
      const NodeInfo measured = measure(syntax_.rule_of(id).body);
      rules_[id].weight = measured.weight;
      rules_[id].nullable = measured.nullable;
      decide(id);
    }
    hooks_ = {.inlined = [this](RuleId id) { return rules_[id].inlined; },
              .counted = [this](const SyntaxNode& node) { return counted(node); },
              .counter = [this](NodeId id) { return counter(id); }};
    unit_of_rule(root_);
    for (std::size_t i = 0; i < units_.size(); ++i) {  // grows as calls are met
      Nfa nfa(syntax_, hooks_);
      STOA_CHECK(nfa.build(units_[i].body));
      STOA_TRY(dfa, nfa.determinise(work_));
      total_ += dfa.states.size();
      if (total_ > syntax_.limits().max_states)
        return fail(error(ErrorCode::kTooLarge, "the grammar needs more than {} states", syntax_.limits().max_states).with_hint("make the schema or grammar smaller"));
      for (const DfaState& state : dfa.states)
        for (const DfaCall& call : state.calls)
          if (call.counter < 0) unit_of_rule(call.rule);
      units_[i].dfa = std::move(dfa);
    }
    return join();
  }

 private:
  struct RuleInfo {
    int uses = 0;
    int order = 0, low = 0;   // Tarjan
    bool on_stack = false, recursive = false, inlined = false, nullable = false;
    std::size_t weight = 0;
  };
  struct NodeInfo {
    bool known = false, nullable = false;
    std::size_t weight = 0;
  };
  struct Unit {
    NodeId body = 0;
    std::string name;
    Dfa dfa;
    std::uint32_t base = 0;  // of its states in the table
  };
  struct CounterUse {
    NodeId repeat = 0;
    std::uint32_t unit = 0;
  };

  // Tarjan's strongly connected components: which rules recurse, and an order in which a rule comes after those it uses.
  Status visit_rule(RuleId id, int depth) {
    RuleInfo& info = rules_[id];
    if (info.order != 0) return {};
    if (!syntax_.rule_of(id).defined) return fail(ErrorCode::kInvalidArgument, "rule '{}' is used but not defined", syntax_.rule_of(id).name);
    if (depth > kMaxDepth) return fail(ErrorCode::kTooLarge, "rules are nested deeper than {} levels", kMaxDepth);
    info.order = info.low = ++order_;
    info.on_stack = true;
    stack_.push_back(id);
    STOA_CHECK(visit_node(syntax_.rule_of(id).body, id, depth));
    if (info.low != info.order) return {};
    const bool alone = stack_.back() == id;
    while (true) {
      const RuleId member = stack_.back();
      stack_.pop_back();
      rules_[member].on_stack = false;
      rules_[member].recursive |= !alone;
      bottom_up_.push_back(member);
      if (member == id) break;
    }
    return {};
  }

  Status visit_node(NodeId id, RuleId owner, int depth) {
    const SyntaxNode& node = syntax_.node(id);
    if (node.kind == NodeKind::kRule) {
      RuleInfo& target = rules_[node.index];
      ++target.uses;
      if (target.order == 0) {
        STOA_CHECK(visit_rule(node.index, depth + 1));
        rules_[owner].low = std::min(rules_[owner].low, target.low);
      } else if (target.on_stack) {
        rules_[owner].low = std::min(rules_[owner].low, target.order);
      }
      if (node.index == owner) rules_[owner].recursive = true;
    }
    if (depth > kMaxDepth) return fail(ErrorCode::kTooLarge, "the grammar is nested deeper than {} levels", kMaxDepth);
    for (const NodeId child : node.children) STOA_CHECK(visit_node(child, owner, depth + 1));
    if (node.kind == NodeKind::kList) STOA_CHECK(visit_node(node.separator, owner, depth + 1));
    return {};
  }

  void decide(RuleId id) {
    RuleInfo& info = rules_[id];
    if (info.recursive || syntax_.rule_of(id).shared) return;
    info.inlined = info.weight <= kInlineSize || (info.uses <= 1 && info.weight <= kInlineOnce);
  }

  // About the number of states of a node, and whether it may match nothing. Rules below it are done, except those of its own component.
  NodeInfo measure(NodeId id) {
    if (nodes_[id].known) return nodes_[id];
    const SyntaxNode& node = syntax_.node(id);
    NodeInfo info{.known = true, .nullable = false, .weight = 1};
    const auto child = [&](NodeId part) { return measure(part); };
    switch (node.kind) {
      case NodeKind::kNever: break;
      case NodeKind::kText: info.weight = node.text.size() + 1, info.nullable = node.text.empty(); break;
      case NodeKind::kRunes: {
        const RuneSet& set = syntax_.rune_set(node.index);
        info.weight = set.ranges().back().last < 0x80 ? 2 : 12;
        break;
      }
      case NodeKind::kDfa: {
        const Dfa& dfa = syntax_.dfa_of(node.index);
        info.weight = dfa.states.size();
        info.nullable = dfa.states[0].final;
        break;
      }
      case NodeKind::kSequence:
        info.nullable = true;
        for (const NodeId part : node.children) info.weight += child(part).weight, info.nullable &= child(part).nullable;
        break;
      case NodeKind::kChoice:
        for (const NodeId part : node.children) info.weight += child(part).weight, info.nullable |= child(part).nullable;
        break;
      case NodeKind::kList:
        info.nullable = true;
        for (std::size_t i = 0; i < node.children.size(); ++i) {
          const NodeInfo part = child(node.children[i]);
          info.weight += part.weight + 2;
          info.nullable &= part.nullable || node.flags[i] != 0;
        }
        break;
      case NodeKind::kRepeat: {
        const NodeInfo part = child(node.children[0]);
        info.nullable = node.min == 0 || part.nullable;
        const auto rounds = static_cast<std::size_t>(std::max({1, node.min, node.max}));
        info.weight = part.weight * rounds > kWrittenOut ? 2 : part.weight * rounds;
        break;
      }
      case NodeKind::kRule: {
        const RuleInfo& rule = rules_[node.index];
        info.weight = rule.inlined ? rule.weight : 2;
        info.nullable = rule.nullable;
        info.known = rule.weight != 0;  // inside a recursion: measured again later
        break;
      }
    }
    info.weight = std::min(info.weight, kHuge);
    nodes_[id] = info;
    return info;
  }

  bool counted(const SyntaxNode& node) {
    const std::size_t rounds = static_cast<std::size_t>(node.max == kUnlimited ? node.min : node.max);
    return rounds > 1 && measure(node.children[0]).weight * rounds > kWrittenOut && !measure(node.children[0]).nullable;
  }

  Result<std::uint32_t> counter(NodeId repeat) {
    const NodeId body = syntax_.node(repeat).children[0];
    const auto [found, fresh] = unit_of_body_.try_emplace(body, static_cast<std::uint32_t>(units_.size()));
    if (fresh) units_.push_back({.body = body, .name = "a repetition"});
    counters_.push_back({.repeat = repeat, .unit = found->second});
    return static_cast<std::uint32_t>(counters_.size() - 1);
  }

  std::uint32_t unit_of_rule(RuleId id) {
    const auto [found, fresh] = unit_of_rule_.try_emplace(id, static_cast<std::uint32_t>(units_.size()));
    if (fresh) units_.push_back({.body = syntax_.rule_of(id).body, .name = syntax_.rule_of(id).name});
    return found->second;
  }

  Result<Automaton> join();
  void find_nullable(const Automaton& all, std::vector<char>& nullable) const;
  Status check_left_recursion(const Automaton& all, const std::vector<char>& nullable) const;
  std::vector<char> find_productive(const Automaton& all) const;
  std::uint32_t next_of(const Automaton& all, const CallEdge& call) const {
    return call.frame & kCounterBit ? all.counters[call.frame & ~kCounterBit].next : call.frame;
  }
  Status fill(Automaton& all, const std::vector<char>& productive) const;

  const Syntax& syntax_;
  RuleId root_;
  std::vector<RuleInfo> rules_;
  std::vector<NodeInfo> nodes_;
  std::vector<RuleId> stack_, bottom_up_;
  int order_ = 0;
  NfaHooks hooks_;
  std::vector<Unit> units_;
  std::map<RuleId, std::uint32_t> unit_of_rule_;
  std::map<NodeId, std::uint32_t> unit_of_body_;
  std::vector<CounterUse> counters_;
  std::size_t work_ = 0, total_ = 0;
};

// Gives every state its number and every call its states; the table of bytes comes last, without states that lead nowhere.
Result<Automaton> Compiler::join() {
  Automaton all;
  std::uint32_t count = 0;
  for (Unit& unit : units_) {
    unit.base = count;
    count += static_cast<std::uint32_t>(unit.dfa.states.size());
  }
  all.flags.assign(count, 0);
  all.counters.resize(counters_.size());
  for (std::size_t i = 0; i < counters_.size(); ++i) {
    const SyntaxNode& node = syntax_.node(counters_[i].repeat);
    all.counters[i] = {.body = units_[counters_[i].unit].base,
                       .min = static_cast<std::uint32_t>(node.min),
                       .max = node.max == kUnlimited ? kNoState : static_cast<std::uint32_t>(node.max)};
  }
  for (const Unit& unit : units_)
    for (std::uint32_t i = 0; i < unit.dfa.states.size(); ++i) {
      const DfaState& state = unit.dfa.states[i];
      all.call_begin.push_back(static_cast<std::uint32_t>(all.calls.size()));
      if (state.final) all.flags[unit.base + i] |= Automaton::kFinal;
      for (const DfaCall& call : state.calls) {
        const std::uint32_t to = unit.base + call.to;
        if (call.counter >= 0) {
          // A counter may be met from several states once its expression was made deterministic: each has its own copy.
          Counter copy = all.counters[static_cast<std::size_t>(call.counter)];
          copy.next = to;
          all.calls.push_back({.callee = copy.body, .frame = static_cast<std::uint32_t>(all.counters.size()) | kCounterBit});
          all.counters.push_back(copy);
        } else {
          const DfaState& after = unit.dfa.states[call.to];
          all.calls.push_back({.callee = units_[unit_of_rule_.at(call.rule)].base, .frame = to, .tail = after.final && after.edges.empty() && after.calls.empty()});
        }
      }
    }
  all.call_begin.push_back(static_cast<std::uint32_t>(all.calls.size()));
  std::vector<char> nullable(count, 0);
  find_nullable(all, nullable);
  for (const Counter& counter : all.counters)
    if (nullable[counter.body])
      return fail(error(ErrorCode::kInvalidArgument, "something that may be empty is repeated {} times or more", std::max(counter.min, 2u)).with_hint("make the repeated part non-empty"));
  STOA_CHECK(check_left_recursion(all, nullable));
  const std::vector<char> productive = find_productive(all);
  if (count == 0 || !productive[0])
    return fail(error(ErrorCode::kInvalidArgument, "nothing can satisfy it: every way through the grammar is contradictory or never ends")
                    .with_hint("look for required properties that recurse without an alternative, and for bounds that exclude each other"));
  STOA_CHECK(fill(all, productive));
  return all;
}

// States from which their rule may end without another byte.
void Compiler::find_nullable(const Automaton& all, std::vector<char>& nullable) const {
  for (std::size_t i = 0; i < nullable.size(); ++i) nullable[i] = all.flags[i] & Automaton::kFinal;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t i = nullable.size(); i-- > 0;)
      if (!nullable[i])
        for (const CallEdge& call : all.calls_of(static_cast<std::uint32_t>(i)))
          if (nullable[call.callee] && nullable[next_of(all, call)]) {
            nullable[i] = changed = true;
            break;
          }
  }
}

// A rule that can call itself before any byte is read would push without end. Searched over states, from each rule's first.
Status Compiler::check_left_recursion(const Automaton& all, const std::vector<char>& nullable) const {
  std::vector<char> color(units_.size(), 0);
  std::map<std::uint32_t, std::size_t> unit_at;
  for (std::size_t i = 0; i < units_.size(); ++i) unit_at[units_[i].base] = i;
  std::vector<std::vector<std::size_t>> heads(units_.size());
  for (std::size_t i = 0; i < units_.size(); ++i) {
    std::vector<std::uint32_t> todo{units_[i].base};
    std::map<std::uint32_t, bool> seen;
    while (!todo.empty()) {
      const std::uint32_t state = todo.back();
      todo.pop_back();
      if (seen[state]) continue;
      seen[state] = true;
      for (const CallEdge& call : all.calls_of(state)) {
        heads[i].push_back(unit_at.at(call.callee));
        if (nullable[call.callee]) todo.push_back(next_of(all, call));
      }
    }
  }
  std::vector<std::pair<std::size_t, std::size_t>> path;
  for (std::size_t i = 0; i < units_.size(); ++i) {
    if (color[i] == 0) path.emplace_back(i, 0), color[i] = 1;
    while (!path.empty()) {
      auto& [unit, at] = path.back();
      if (at == heads[unit].size()) {
        color[unit] = 2;
        path.pop_back();
        continue;
      }
      const std::size_t next = heads[unit][at++];
      if (color[next] == 1)
        return fail(error(ErrorCode::kInvalidArgument, "'{}' begins with itself (left recursion)", units_[next].name)
                        .with_hint("write the repetition with * or put something in front of the recursive use"));
      if (color[next] == 0) path.emplace_back(next, 0), color[next] = 1;
    }
  }
  return {};
}

// States from which their rule's end can be reached at all.
std::vector<char> Compiler::find_productive(const Automaton& all) const {
  std::vector<char> productive(all.states(), 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (const Unit& unit : units_)
      for (std::size_t i = unit.dfa.states.size(); i-- > 0;) {
        const std::uint32_t state = unit.base + static_cast<std::uint32_t>(i);
        if (productive[state]) continue;
        bool good = unit.dfa.states[i].final;
        for (const DfaEdge& edge : unit.dfa.states[i].edges) good = good || productive[unit.base + edge.to];
        for (const CallEdge& call : all.calls_of(state)) good = good || (productive[call.callee] && productive[next_of(all, call)]);
        if (good) productive[state] = changed = true;
      }
  }
  return productive;
}

Status Compiler::fill(Automaton& all, const std::vector<char>& productive) const {
  // Bytes between two borders go the same way in every state.
  std::array<bool, 257> border{};
  border[0] = true;
  for (const Unit& unit : units_)
    for (const DfaState& state : unit.dfa.states)
      for (const DfaEdge& edge : state.edges) border[edge.first] = border[std::size_t{edge.last} + 1] = true;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (border[byte]) all.class_size.push_back(0), all.class_byte.push_back(static_cast<std::uint8_t>(byte));
    all.byte_class[byte] = static_cast<std::uint8_t>(all.class_size.size() - 1);
    ++all.class_size.back();
  }
  all.classes = static_cast<std::uint32_t>(all.class_size.size());
  const std::size_t entries = all.states() * all.classes;
  if (entries > syntax_.limits().max_table)
    return fail(error(ErrorCode::kTooLarge, "the grammar's table needs {} entries, {} are allowed", entries, syntax_.limits().max_table).with_hint("make the schema or grammar smaller"));
  all.table.assign(entries, kNoState);
  std::vector<CallEdge> calls;
  for (const Unit& unit : units_)
    for (std::uint32_t i = 0; i < unit.dfa.states.size(); ++i) {
      const std::uint32_t state = unit.base + i;
      for (const DfaEdge& edge : unit.dfa.states[i].edges) {
        if (!productive[unit.base + edge.to]) continue;
        all.flags[state] |= Automaton::kBytes;
        for (int c = all.byte_class[edge.first]; c <= all.byte_class[edge.last]; ++c)
          all.table[std::size_t{state} * all.classes + static_cast<std::size_t>(c)] = unit.base + edge.to;
      }
      const auto begin = static_cast<std::uint32_t>(calls.size());
      for (const CallEdge& call : all.calls_of(state))
        if (productive[call.callee] && productive[next_of(all, call)]) calls.push_back(call);
      all.call_begin[state] = begin;
      if (calls.size() == begin && !(all.flags[state] & Automaton::kFinal)) all.flags[state] |= Automaton::kPlain;
      // call_begin[state + 1] is still the old border until its turn: calls_of(state) above read it before it changed.
    }
  all.call_begin.back() = static_cast<std::uint32_t>(calls.size());
  all.calls = std::move(calls);
  all.start = 0;
  return {};
}

}  // namespace

Result<Automaton> compile(const Syntax& syntax, RuleId root) {
  STOA_CHECK(syntax.status());
  return Compiler(syntax, root).run();
}

Result<Dfa> compile_regular(const Syntax& syntax, NodeId node) {
  STOA_CHECK(syntax.status());
  const NfaHooks hooks = regular_hooks();
  Nfa nfa(syntax, hooks);
  STOA_CHECK(nfa.build(node));
  std::size_t work = 0;
  return nfa.determinise(work);
}

Result<NodeId> text_without(Syntax& syntax, std::span<const std::string> words) {
  const NodeId any = syntax.repeat(syntax.runes(RuneSet::all()), 0, kUnlimited);
  if (words.empty()) return any;
  std::vector<NodeId> taken;
  for (const std::string& word : words) taken.push_back(syntax.text(word));
  STOA_TRY(all, compile_regular(syntax, any));
  STOA_TRY(with, compile_regular(syntax, syntax.sequence({any, syntax.choice(std::move(taken)), any})));
  STOA_TRY(without, difference(all, with, syntax.limits().max_states));
  return syntax.dfa(std::move(without));
}

}  // namespace stoa::models::constrain
