#include "models/constrain/nfa.h"

#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

namespace stoa::models::constrain {
namespace {

constexpr int kMaxDepth = 1000;  // of nested nodes and inlined rules: recursion on the stack

std::unexpected<Error> too_many(std::size_t states) {
  return fail(error(ErrorCode::kTooLarge, "the grammar needs more than {} states", states).with_hint("use fewer or shorter alternatives, bounds and patterns"));
}

struct SetHash {
  std::size_t operator()(const std::vector<std::uint32_t>& set) const {
    std::uint64_t hash = 1469598103934665603ULL;
    for (const std::uint32_t value : set) hash = (hash ^ value) * 1099511628211ULL;
    return hash;
  }
};

}  // namespace

Nfa::State Nfa::add() {
  nodes_.emplace_back();
  return static_cast<State>(nodes_.size() - 1);
}

Status Nfa::build(NodeId node) {
  STOA_TRY(piece_, piece(node, 0));
  all_ = piece_;
  return {};
}

Result<Nfa::Piece> Nfa::piece(NodeId id, int depth) {
  if (nodes_.size() > 8 * syntax_.limits().max_states) return too_many(8 * syntax_.limits().max_states);
  if (depth > kMaxDepth) return fail(ErrorCode::kTooLarge, "the grammar is nested deeper than {} levels", kMaxDepth);
  const SyntaxNode& node = syntax_.node(id);
  if (node.kind == NodeKind::kRepeat) return repeat(id, depth);
  if (node.kind == NodeKind::kList) return list(node, depth);
  const State from = add(), to = add();
  switch (node.kind) {
    case NodeKind::kText: {
      State at = from;
      for (const char c : node.text) {
        const State next = add();
        const auto byte = static_cast<std::uint8_t>(c);
        nodes_[at].edges.push_back({byte, byte, next});
        at = next;
      }
      link(at, to);
      break;
    }
    case NodeKind::kRunes: runes(node, {from, to}); break;
    case NodeKind::kDfa: copy(syntax_.dfa_of(node.index), {from, to}); break;
    case NodeKind::kSequence: {
      State at = from;
      for (const NodeId child : node.children) {
        STOA_TRY(part, piece(child, depth + 1));
        link(at, part.from);
        at = part.to;
      }
      link(at, to);
      break;
    }
    case NodeKind::kChoice:
      for (const NodeId child : node.children) {
        STOA_TRY(part, piece(child, depth + 1));
        link(from, part.from);
        link(part.to, to);
      }
      break;
    case NodeKind::kRule:
      if (!hooks_.inlined(node.index)) {
        nodes_[from].calls.push_back({.rule = node.index, .to = to});
      } else {
        STOA_TRY(part, piece(syntax_.rule_of(node.index).body, depth + 1));
        link(from, part.from);
        link(part.to, to);
      }
      break;
    default: break;  // kNever: no way from `from` to `to`
  }
  return Piece{from, to};
}

Result<Nfa::Piece> Nfa::repeat(NodeId id, int depth) {
  const SyntaxNode& node = syntax_.node(id);
  const State from = add(), to = add();
  const NodeId child = node.children[0];
  if (hooks_.counted(node)) {
    STOA_TRY(counter, hooks_.counter(id));
    nodes_[from].calls.push_back({.counter = static_cast<std::int32_t>(counter), .to = to});
    if (node.min == 0) link(from, to);
    return Piece{from, to};
  }
  State at = from;
  const int written = node.max == kUnlimited ? node.min : node.max;
  for (int i = 0; i < written; ++i) {
    STOA_TRY(part, piece(child, depth + 1));
    if (i >= node.min) link(at, to);
    link(at, part.from);
    at = part.to;
  }
  if (node.max == kUnlimited) {
    STOA_TRY(part, piece(child, depth + 1));
    link(at, part.from);
    link(part.to, at);
  }
  link(at, to);
  return Piece{from, to};
}

// Two chains run along the items: nothing written yet, and something written, in which case a separator comes first. Each item exists
// once and is entered from both.
Result<Nfa::Piece> Nfa::list(const SyntaxNode& node, int depth) {
  const State from = add(), to = add();
  State none = from, some = add();
  const bool separated = syntax_.node(node.separator).kind != NodeKind::kNever;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    STOA_TRY(item, piece(node.children[i], depth + 1));
    link(none, item.from);
    if (separated) {
      STOA_TRY(separator, piece(node.separator, depth + 1));
      link(some, separator.from);
      link(separator.to, item.from);
    } else {
      link(some, item.from);
    }
    if (node.flags[i] & kRepeated) {
      link(item.to, some);
      continue;
    }
    const State next_none = add(), next_some = add();
    link(item.to, next_some);
    if (node.flags[i] & kOptional) {
      link(none, next_none);
      link(some, next_some);
    }
    none = next_none;
    some = next_some;
  }
  link(none, to);
  link(some, to);
  return Piece{from, to};
}

void Nfa::runes(const SyntaxNode& node, Piece piece) {
  RuneSet raw = syntax_.rune_set(node.index);
  if (node.json) {
    constexpr std::pair<char32_t, const char*> kShort[] = {{'"', "\\\""}, {'\\', "\\\\"}, {'\b', "\\b"}, {'\f', "\\f"}, {'\n', "\\n"}, {'\r', "\\r"}, {'\t', "\\t"}};
    for (char32_t rune = 0; rune < 0x60; ++rune) {
      if (!raw.contains(rune) || (rune >= 0x20 && rune != '"' && rune != '\\')) continue;
      const auto* found = std::ranges::find(kShort, rune, &std::pair<char32_t, const char*>::first);
      const std::string escape = found != std::end(kShort) ? found->second : fmt::format("\\u{:04x}", static_cast<unsigned>(rune));
      State at = piece.from;
      for (std::size_t i = 0; i < escape.size(); ++i) {
        const State next = i + 1 == escape.size() ? piece.to : add();
        const auto byte = static_cast<std::uint8_t>(escape[i]);
        nodes_[at].edges.push_back({byte, byte, next});
        at = next;
      }
    }
    raw = raw.minus({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}});
  }
  for (const ByteSequence& sequence : utf8_sequences(raw)) {
    State at = piece.from;
    for (int i = 0; i < sequence.size; ++i) {
      const State next = i + 1 == sequence.size ? piece.to : add();
      const ByteRange range = sequence.bytes[static_cast<std::size_t>(i)];
      nodes_[at].edges.push_back({range.first, range.last, next});
      at = next;
    }
  }
}

void Nfa::copy(const Dfa& dfa, Piece piece) {
  const auto base = static_cast<State>(nodes_.size());
  nodes_.resize(nodes_.size() + dfa.states.size());
  link(piece.from, base);
  for (std::size_t i = 0; i < dfa.states.size(); ++i) {
    Node& node = nodes_[base + i];
    node.edges = dfa.states[i].edges;
    for (DfaEdge& edge : node.edges) edge.to += base;
    if (dfa.states[i].final) node.free.push_back(piece.to);
  }
}

// Adds what is reached without a byte; keeps, sorted, the states that matter: those with edges or calls, and the end.
void Nfa::close(std::vector<State>& set, std::vector<std::uint32_t>& seen, std::uint32_t stamp) const {
  std::vector<State> todo;
  std::vector<State> kept;
  for (const State state : set)
    if (seen[state] != stamp) seen[state] = stamp, todo.push_back(state);
  while (!todo.empty()) {
    const State state = todo.back();
    todo.pop_back();
    const Node& node = nodes_[state];
    if (!node.edges.empty() || !node.calls.empty() || state == all_.to) kept.push_back(state);
    for (const State next : node.free)
      if (seen[next] != stamp) seen[next] = stamp, todo.push_back(next);
  }
  std::ranges::sort(kept);
  set = std::move(kept);
}

Result<Dfa> Nfa::determinise(std::size_t& work) const {
  Dfa out;
  std::unordered_map<std::vector<State>, std::uint32_t, SetHash> ids;
  std::vector<const std::vector<State>*> sets;
  std::vector<std::uint32_t> seen(nodes_.size(), 0);
  std::uint32_t stamp = 0;
  const auto id_of = [&](std::vector<State> set) {
    close(set, seen, ++stamp);
    work += set.size() + 1;
    const auto [found, fresh] = ids.try_emplace(std::move(set), static_cast<std::uint32_t>(sets.size()));
    if (fresh) sets.push_back(&found->first);
    return found->second;
  };
  id_of({all_.from});
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets.size() > syntax_.limits().max_states) return too_many(syntax_.limits().max_states);
    if (work > syntax_.limits().max_work)
      return fail(error(ErrorCode::kTooLarge, "the grammar is too large or of exponential size: making it deterministic takes more than {} steps", syntax_.limits().max_work)
                      .with_hint("use fewer optional properties in one object; avoid counted repetitions after an unbounded one, such as (a|b)*a(a|b){20}"));
    const std::vector<State> set = *sets[i];
    DfaState state;
    std::vector<DfaEdge> edges;
    std::array<bool, 257> border{};
    std::vector<DfaCall> calls;
    for (const State member : set) {
      const Node& node = nodes_[member];
      state.final |= member == all_.to;
      for (const DfaEdge& edge : node.edges) {
        edges.push_back(edge);
        border[edge.first] = border[std::size_t{edge.last} + 1] = true;
      }
      calls.insert(calls.end(), node.calls.begin(), node.calls.end());
    }
    std::ranges::sort(edges, {}, &DfaEdge::first);
    for (int first = 0; first < 256 && !edges.empty();) {
      int last = first;
      while (last < 255 && !border[static_cast<std::size_t>(last) + 1]) ++last;
      std::vector<State> to;
      for (const DfaEdge& edge : edges) {
        if (edge.first > first) break;
        if (edge.last >= first) to.push_back(edge.to);
      }
      work += to.size() + 1;
      if (!to.empty()) {
        const std::uint32_t target = id_of(std::move(to));
        if (!state.edges.empty() && state.edges.back().to == target && state.edges.back().last + 1 == first)
          state.edges.back().last = static_cast<std::uint8_t>(last);
        else
          state.edges.push_back({static_cast<std::uint8_t>(first), static_cast<std::uint8_t>(last), target});
      }
      first = last + 1;
    }
    while (!calls.empty()) {  // the same callee: one call, returning to all places at once
      const DfaCall head = calls.front();
      std::vector<State> to;
      std::erase_if(calls, [&](const DfaCall& call) {
        const bool same = call.rule == head.rule && call.counter == head.counter;
        if (same) to.push_back(call.to);
        return same;
      });
      state.calls.push_back({.rule = head.rule, .counter = head.counter, .to = id_of(std::move(to))});
    }
    out.states.push_back(std::move(state));
  }
  return out;
}

}  // namespace stoa::models::constrain
