#include "models/constrain/mask_cache.h"

#include <algorithm>
#include <array>

#include "models/constrain/trie_walk.h"

namespace stoa::models::constrain {
namespace {

void set_bit(std::span<std::uint64_t> mask, TokenId token) {
  const auto t = static_cast<std::size_t>(token);
  mask[t / 64] |= std::uint64_t{1} << (t % 64);
}

// Sorts by a key below 256, keeping the order of equals: entries have up to a hundred thousand parts, and are made while a model waits.
template <class T, class Key>
void sort_by(std::vector<T>& items, const Key& key) {
  std::array<std::uint32_t, 257> from{};
  for (const T& item : items) ++from[key(item) + 1u];
  for (std::size_t i = 0; i < 256; ++i) from[i + 1] += from[i];
  std::vector<T> sorted(items.size());
  for (const T& item : items) sorted[from[key(item)]++] = item;
  items = std::move(sorted);
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

std::span<const Escape> MaskEntry::escapes_before(std::uint8_t byte, std::uint32_t least, std::uint32_t most) const {
  if (escapes_from.empty()) return {};
  const std::span<const Escape> all = std::span(escapes).subspan(escapes_from[byte], escapes_from[byte + 1u] - escapes_from[byte]);
  const auto first = std::ranges::lower_bound(all, least, {}, &Escape::rounds);
  const auto last = std::ranges::upper_bound(all, most, {}, &Escape::rounds);
  return first < last ? std::span<const Escape>(first, last) : std::span<const Escape>();
}

std::size_t MaskEntry::bytes() const {
  return sizeof(MaskEntry) + bits.size() * 8 + ids.size() * 4 + ids_until.size() * 4 + escapes.size() * sizeof(Escape) + escapes_from.size() * 4 + 64;
}

std::shared_ptr<const MaskEntry> MaskCache::find(std::uint32_t state, std::uint32_t body, std::uint64_t& work) {
  const std::uint64_t key = std::uint64_t{body} << 32 | state;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
  }
  if (work == 0) return nullptr;
  auto entry = compute(state, body, work);
  const std::lock_guard lock(mutex_);
  if (bytes_ + entry->bytes() <= max_bytes_ && entries_.try_emplace(key, entry).second) bytes_ += entry->bytes();
  return entry;
}

std::size_t MaskCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

std::shared_ptr<const MaskEntry> MaskCache::compute(std::uint32_t state, std::uint32_t body, std::uint64_t& work) const {
  StackPool stacks;
  TrieWalk walk(automaton_, stacks, trie_);
  const StackId stack = body == kNoState ? kUnknown : stacks.push(kUnknown, kAnyCounterBit | body, 0);
  walk.start().alive.push_back({state, stack});
  walk.begin();
  walk.allow(kEntryWork);
  auto entry = std::make_shared<MaskEntry>();
  std::vector<std::pair<std::uint32_t, TokenId>> found;  // rounds, token
  const auto nodes = trie_.nodes();
  const auto order = trie_.order();
  walk.run(0, [&](std::uint32_t node, const TrieWalk::Level& level) {
    for (std::uint32_t i = nodes[node].first; i < nodes[node + 1].first; ++i) found.emplace_back(level.rounds, order[i]);
    if (!level.escaped) return;
    for (std::uint32_t child = node + 1; child < nodes[node].skip; child = nodes[child].skip)
      for (const std::uint32_t rounds : level.position.escapes) entry->escapes.push_back({rounds, child});
  });
  work -= std::min(work, walk.work());
  if (!entry->escapes.empty()) {
    if (body != kNoState) sort_by(entry->escapes, [](const Escape& escape) { return escape.rounds; });
    sort_by(entry->escapes, [&](const Escape& escape) { return nodes[escape.node].byte; });
    entry->escapes_from.assign(257, 0);
    for (const Escape& escape : entry->escapes) ++entry->escapes_from[nodes[escape.node].byte + 1u];
    for (std::size_t b = 0; b < 256; ++b) entry->escapes_from[b + 1] += entry->escapes_from[b];
  }
  if (body != kNoState) {
    sort_by(found, [](const auto& one) { return one.first; });  // a round is at least one byte of a token
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
