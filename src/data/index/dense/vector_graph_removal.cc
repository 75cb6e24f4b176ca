// How removed nodes leave the graph. Much as in Singh et al., "FreshDiskANN" (2021): who had a link to a leaving node gets those of its neighbours instead, as far as they
// are chosen. But the links that stay are not chosen anew: many are there because others made them, and a graph without these finds less.
#include <algorithm>

#include "data/index/dense/vector_graph.h"

namespace stoa::data {

namespace {

constexpr std::size_t kFewest = 64;  // removed nodes, for a round

}  // namespace

void VectorGraph::removed(std::uint32_t node) {
  const std::lock_guard lock(removed_mutex_);
  removed_.push_back(node);
  removed_count_.fetch_add(1, std::memory_order_relaxed);
}

void VectorGraph::consolidate(SearchContext& context, ContextPool& contexts, std::size_t count) {
  const std::unique_lock lock(round_mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  if (round_ == nullptr) {
    const std::lock_guard removed_lock(removed_mutex_);
    if (removed_.size() < std::max(kFewest, store_.live() / 10)) return;
    round_ = std::make_shared<Round>();
    round_->leaving.swap(removed_);
    round_->end = store_.end();
    round_->is_leaving.resize(round_->end / 64 + 1);
    for (const std::uint32_t node : round_->leaving) round_->is_leaving[node / 64] |= std::uint64_t{1} << (node % 64);
    // Puts that run now may have chosen a leaving node; those that begin later do not.
    contexts.retire([round = round_] { round->ready.store(true, std::memory_order_release); });
  }
  if (!round_->ready.load(std::memory_order_acquire)) return;
  if (round_->next == round_->end) return give_back(count);
  for (; count > 0 && round_->next < round_->end; --count, ++round_->next) {
    const std::uint32_t node = round_->next;
    const std::uint32_t state = store_.state(node);
    if (state == kFreeNode || round_->leaves(node)) continue;
    const int level = store_.level(node);
    if (state != kRemovedNode && (round_->best == kNoEntry || level > level_of(round_->best))) round_->best = static_cast<std::uint64_t>(level) << 32 | node;
    for (int at = 0; at <= level; ++at)
      if (!relink(*round_, node, at)) reconnect(context, node, at);
  }
  if (round_->next == round_->end) unlinked(contexts);
}

// False when what stays around the node is too little to hold it in the graph.
bool VectorGraph::relink(const Round& round, std::uint32_t node, int level) {
  const std::span<Link> links = store_.links(node, level);
  const Locked lock(*this, node);
  std::array<std::uint32_t, NodeStore::kBaseLinks*(NodeStore::kBaseLinks + 1)> nodes;
  std::size_t count = 0;
  Selection kept, chosen;
  bool loses = false;
  const auto add = [&](std::uint32_t other) {
    if (other != node && !round.leaves(other) && store_.state(other) != kFreeNode) nodes[count++] = other;
  };
  for (const Link& link : links) {
    const std::uint32_t other = link.load(std::memory_order_acquire);
    if (other == kNoNode) break;
    if (!round.leaves(other)) {
      kept.nodes[kept.count++] = other;
      add(other);
      continue;
    }
    loses = true;
    for (const Link& next : store_.links(other, level)) {
      const std::uint32_t further = next.load(std::memory_order_acquire);
      if (further == kNoNode) break;
      if (store_.state(further) != kRemovedNode) add(further);
    }
  }
  if (!loses) return true;
  std::sort(nodes.begin(), nodes.begin() + count);
  count = static_cast<std::size_t>(std::unique(nodes.begin(), nodes.begin() + count) - nodes.begin());
  select_for(node, {nodes.data(), count}, links.size(), chosen);
  const std::span<const std::uint32_t> staying(kept.nodes.data(), kept.count);
  for (const std::uint32_t other : std::span(chosen.nodes.data(), chosen.count))
    if (kept.count < links.size() && std::ranges::find(staying, other) == staying.end()) kept.nodes[kept.count++] = other;
  write(links, kept);
  return count >= NodeStore::kLinks / 2 || level > 0;
}

// Links the node as if it were new.
void VectorGraph::reconnect(SearchContext& context, std::uint32_t node, int level) {
  const std::uint64_t entry = entry_.load(std::memory_order_acquire);
  if (level > level_of(entry)) return;
  context.vector.resize(coder_.dimensions());
  coder_.decode(store_.record(node), store_.residual(node), context.vector);
  coder_.encode_query(context.vector, context.query, store_.looks_pay());
  Selection selection;
  find_links(context, descend(context, entry, level), level, node, selection);
  {
    const Locked lock(*this, node);
    write(store_.links(node, level), selection);
  }
  for (std::size_t i = 0; i < selection.count; ++i) connect(selection.nodes[i], level, node);
}

// Nobody has a link to a leaving node any more.
void VectorGraph::unlinked(ContextPool& contexts) {
  for (std::uint32_t node = round_->end; round_->best == kNoEntry && node < store_.end(); ++node)
    if (is_slot(store_.state(node))) round_->best = static_cast<std::uint64_t>(store_.level(node)) << 32 | node;
  {
    const std::lock_guard lock(entry_mutex_);
    if (round_->leaves(static_cast<std::uint32_t>(entry_.load(std::memory_order_relaxed)))) entry_.store(round_->best, std::memory_order_release);
  }
  removed_count_.fetch_sub(round_->leaving.size(), std::memory_order_relaxed);
  // Searches that began earlier may still walk through them.
  contexts.retire([round = round_] { round->unreachable.store(true, std::memory_order_release); });
}

void VectorGraph::give_back(std::size_t count) {
  if (!round_->unreachable.load(std::memory_order_acquire)) return;
  auto& leaving = round_->leaving;
  count = std::min(count, leaving.size());
  store_.give_back(std::span(leaving).last(count));
  leaving.resize(leaving.size() - count);
  if (leaving.empty()) round_ = nullptr;
}

}  // namespace stoa::data
