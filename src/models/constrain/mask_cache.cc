#include "models/constrain/mask_cache.h"

#include <algorithm>

#include "models/constrain/trie_walk.h"

namespace stoa::models::constrain {
namespace {

void set_bit(std::span<std::uint64_t> mask, TokenId token) {
  const auto t = static_cast<std::size_t>(token);
  mask[t / 64] |= std::uint64_t{1} << (t % 64);
}

}  // namespace

void MaskEntry::add_to(std::span<std::uint64_t> mask, std::uint32_t rounds) const {
  const bool all = ids_until.empty() || rounds + 1 >= ids_until.size();
  if (all && !bits.empty()) {
    for (std::size_t i = 0; i < bits.size(); ++i) mask[i] |= bits[i];
    return;
  }
  const std::size_t count = all ? ids.size() : ids_until[rounds];
  for (std::size_t i = 0; i < count; ++i) set_bit(mask, ids[i]);
}

std::size_t MaskEntry::bytes() const {
  return sizeof(MaskEntry) + bits.size() * 8 + ids.size() * 4 + ids_until.size() * 4 + escapes.size() * sizeof(Escape) + 64;
}

std::shared_ptr<const MaskEntry> MaskCache::find(std::uint32_t state, std::uint32_t body) {
  const std::uint64_t key = std::uint64_t{body} << 32 | state;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
  }
  auto entry = compute(state, body);
  const std::lock_guard lock(mutex_);
  if (bytes_ + entry->bytes() <= max_bytes_ && entries_.try_emplace(key, entry).second) bytes_ += entry->bytes();
  return entry;
}

std::size_t MaskCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::shared_ptr<const MaskEntry> MaskCache::compute(std::uint32_t state, std::uint32_t body) const {
  StackPool stacks;
  TrieWalk walk(automaton_, stacks, trie_);
  const StackId stack = body == kNoState ? kUnknown : stacks.push(kUnknown, kAnyCounterBit | body, 0);
  walk.start().alive.push_back({state, stack});
  walk.begin();
  auto entry = std::make_shared<MaskEntry>();
  std::vector<std::pair<std::uint32_t, TokenId>> found;  // rounds, token
  const auto nodes = trie_.nodes();
  const auto order = trie_.order();
  walk.run(0, [&](std::uint32_t node, const TrieWalk::Level& level) {
    for (std::uint32_t i = nodes[node].first; i < nodes[node + 1].first; ++i) found.emplace_back(level.rounds, order[i]);
    if (level.escaped)
      for (const std::uint32_t rounds : level.position.escapes)
        if (nodes[node].skip > node + 1) entry->escapes.push_back({rounds, node});
  });
  std::ranges::stable_sort(entry->escapes, {}, &Escape::rounds);
  if (body != kNoState) {
    std::ranges::stable_sort(found, {}, &std::pair<std::uint32_t, TokenId>::first);
    for (std::size_t i = 0; i < found.size(); ++i) entry->ids_until.resize(found[i].first + 1, static_cast<std::uint32_t>(i));
    for (std::size_t r = 0, i = 0; r < entry->ids_until.size(); ++r) {
      while (i < found.size() && found[i].first <= r) ++i;
      entry->ids_until[r] = static_cast<std::uint32_t>(i);
    }
  }
  const bool dense = found.size() > trie_.words();
  if (dense) {
    entry->bits.assign(trie_.words(), 0);
    for (const auto& [rounds, token] : found) set_bit(entry->bits, token);
  }
  if (!dense || body != kNoState) {
    entry->ids.reserve(found.size());
    for (const auto& [rounds, token] : found) entry->ids.push_back(token);
  }
  return entry;
}

}  // namespace stoa::models::constrain
