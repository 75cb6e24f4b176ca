#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

NodeId Syntax::add(SyntaxNode node) {
  if (nodes_.size() >= limits_.max_nodes) {
    if (exceeded_.empty()) exceeded_ = fmt::format("the grammar has more than {} expressions", limits_.max_nodes);
    return 0;
  }
  nodes_.push_back(std::move(node));
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId Syntax::text(std::string_view bytes) { return add({.kind = NodeKind::kText, .text = std::string(bytes)}); }

NodeId Syntax::runes(RuneSet set, bool json) {
  if (set.empty()) return never();
  sets_.push_back(std::move(set));
  return add({.kind = NodeKind::kRunes, .json = json, .index = static_cast<std::uint32_t>(sets_.size() - 1)});
}

NodeId Syntax::sequence(std::vector<NodeId> parts) {
  for (const NodeId part : parts)
    if (part == never()) return never();
  if (parts.size() == 1) return parts.front();
  return add({.kind = NodeKind::kSequence, .children = std::move(parts)});
}

NodeId Syntax::choice(std::vector<NodeId> parts) {
  std::erase(parts, never());
  if (parts.empty()) return never();
  if (parts.size() == 1) return parts.front();
  return add({.kind = NodeKind::kChoice, .children = std::move(parts)});
}

NodeId Syntax::repeat(NodeId part, int min, int max) {
  if (max == 0 || (part == never() && min == 0)) return text("");
  if (part == never()) return never();
  if (min == 1 && max == 1) return part;
  return add({.kind = NodeKind::kRepeat, .min = min, .max = max, .children = {part}});
}

NodeId Syntax::list(std::vector<NodeId> items, std::vector<std::uint8_t> flags, NodeId separator) {
  std::vector<NodeId> kept;
  std::vector<std::uint8_t> kept_flags;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i] == never()) {
      if (flags[i] == 0) return never();
      continue;
    }
    kept.push_back(items[i]);
    kept_flags.push_back(flags[i]);
  }
  return add({.kind = NodeKind::kList, .separator = separator, .children = std::move(kept), .flags = std::move(kept_flags)});
}

NodeId Syntax::rule(RuleId id) { return add({.kind = NodeKind::kRule, .index = id}); }

NodeId Syntax::dfa(Dfa dfa) {
  if (dfa.states.empty()) return never();
  dfa_states_ += dfa.states.size();
  if (dfa_states_ > limits_.max_states) {
    if (exceeded_.empty()) exceeded_ = fmt::format("its patterns and bounds need more than {} states", limits_.max_states);
    return never();
  }
  dfas_.push_back(std::move(dfa));
  return add({.kind = NodeKind::kDfa, .index = static_cast<std::uint32_t>(dfas_.size() - 1)});
}

RuleId Syntax::add_rule(std::string name, bool shared) {
  if (rules_.size() >= limits_.max_rules) {
    if (exceeded_.empty()) exceeded_ = fmt::format("the grammar has more than {} rules", limits_.max_rules);
    return 0;
  }
  rules_.push_back({.name = std::move(name), .shared = shared});
  return static_cast<RuleId>(rules_.size() - 1);
}

void Syntax::define(RuleId rule, NodeId body) {
  rules_[rule].body = body;
  rules_[rule].defined = true;
}

Status Syntax::status() const {
  if (exceeded_.empty()) return {};
  return fail(error(ErrorCode::kTooLarge, "{}", exceeded_).with_hint("make the schema or grammar smaller, or use fewer and shorter bounds"));
}

}  // namespace stoa::models::constrain
