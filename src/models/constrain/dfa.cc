#include "models/constrain/dfa.h"

#include <algorithm>
#include <unordered_map>

namespace stoa::models::constrain {
namespace {

constexpr std::uint32_t kDead = 0xFFFFFFFF;

std::uint32_t next(const Dfa& dfa, std::uint32_t state, int byte, int& until) {
  if (state == kDead || state >= dfa.states.size()) return kDead;
  for (const DfaEdge& edge : dfa.states[state].edges) {
    if (byte < edge.first) {
      until = std::min(until, edge.first - 1);
      return kDead;
    }
    if (byte <= edge.last) {
      until = std::min<int>(until, edge.last);
      return edge.to;
    }
  }
  return kDead;
}

// Leaves out the states from which no final one can be reached.
Dfa trimmed(Dfa dfa) {
  const std::size_t count = dfa.states.size();
  std::vector<std::vector<std::uint32_t>> before(count);
  std::vector<std::uint32_t> todo;
  std::vector<char> alive(count, 0);
  for (std::size_t i = 0; i < count; ++i) {
    for (const DfaEdge& edge : dfa.states[i].edges) before[edge.to].push_back(static_cast<std::uint32_t>(i));
    if (dfa.states[i].final) todo.push_back(static_cast<std::uint32_t>(i)), alive[i] = 1;
  }
  while (!todo.empty()) {
    const std::uint32_t state = todo.back();
    todo.pop_back();
    for (const std::uint32_t from : before[state])
      if (!alive[from]) alive[from] = 1, todo.push_back(from);
  }
  if (count == 0 || !alive[0]) return {};
  std::vector<std::uint32_t> id(count, kDead);
  Dfa out;
  for (std::size_t i = 0; i < count; ++i)
    if (alive[i]) {
      id[i] = static_cast<std::uint32_t>(out.states.size());
      out.states.push_back(std::move(dfa.states[i]));
    }
  for (DfaState& state : out.states) {
    std::erase_if(state.edges, [&](const DfaEdge& edge) { return id[edge.to] == kDead; });
    for (DfaEdge& edge : state.edges) edge.to = id[edge.to];
  }
  return out;
}

Result<Dfa> product(const Dfa& a, const Dfa& b, bool both, std::size_t max_states) {
  if (a.states.empty() || (both && b.states.empty())) return Dfa{};
  Dfa out;
  std::unordered_map<std::uint64_t, std::uint32_t> ids;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto id_of = [&](std::uint32_t x, std::uint32_t y) {
    const auto [found, fresh] = ids.try_emplace((std::uint64_t{x} << 32) | y, static_cast<std::uint32_t>(pairs.size()));
    if (fresh) pairs.emplace_back(x, y);
    return found->second;
  };
  id_of(0, b.states.empty() ? kDead : 0);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (pairs.size() > max_states) return fail(ErrorCode::kTooLarge, "a pattern and its bounds need more than {} states together", max_states);
    const auto [x, y] = pairs[i];
    DfaState state;
    const bool in_b = y != kDead && b.states[y].final;
    state.final = a.states[x].final && in_b == both;
    for (const DfaEdge& edge : a.states[x].edges) {
      for (int byte = edge.first; byte <= edge.last;) {
        int until = edge.last;
        const std::uint32_t to_b = next(b, y, byte, until);
        if (!both || to_b != kDead)
          state.edges.push_back({static_cast<std::uint8_t>(byte), static_cast<std::uint8_t>(until), id_of(edge.to, to_b)});
        byte = until + 1;
      }
    }
    out.states.push_back(std::move(state));
  }
  return trimmed(std::move(out));
}

}  // namespace

Result<Dfa> intersection(const Dfa& a, const Dfa& b, std::size_t max_states) { return product(a, b, true, max_states); }
Result<Dfa> difference(const Dfa& a, const Dfa& b, std::size_t max_states) { return product(a, b, false, max_states); }

}  // namespace stoa::models::constrain
