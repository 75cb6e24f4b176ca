#include "models/engine/constraint_cache.h"

#include <algorithm>

namespace stoa::models {

Result<std::shared_ptr<const Constraint>> ConstraintCache::get(const std::string& key, const std::function<Result<Grammar>()>& compile) {
  std::shared_ptr<Entry> entry;
  {
    std::lock_guard lock(mutex_);
    auto& place = entries_[key];
    if (place == nullptr) place = std::make_shared<Entry>();
    entry = place;
    entry->used = ++clock_;
    if (entry->constraint != nullptr) return entry->constraint;
  }
  std::lock_guard compiling(entry->compiling);
  if (auto made = ready(*entry)) return made;
  auto grammar = compile();
  if (!grammar) {
    std::lock_guard lock(mutex_);
    entries_.erase(key);
    return fail(std::move(grammar.error()));
  }
  auto constraint = std::make_shared<const Constraint>(std::move(*grammar), trie(), kMaskBytes);
  std::vector<std::uint64_t> bits(constraint->trie().words());
  GrammarMatcher(constraint).mask(bits);
  std::lock_guard lock(mutex_);
  entry->constraint = constraint;
  shrink();
  return constraint;
}

std::shared_ptr<const Constraint> ConstraintCache::ready(Entry& entry) {
  std::lock_guard lock(mutex_);
  return entry.constraint;
}

std::shared_ptr<const TokenTrie> ConstraintCache::trie() {
  std::call_once(built_, [this] { trie_ = TokenTrie::build(tokenizer_, visible_); });
  return trie_;
}

// mutex_ is held. Entries that are being compiled stay: their threads are about to use them.
void ConstraintCache::shrink() {
  const auto bytes = [](const Entry& entry) { return entry.constraint == nullptr ? 0 : entry.constraint->grammar().bytes() + entry.constraint->cached_bytes(); };
  std::size_t total = 0;
  for (const auto& [key, entry] : entries_) total += bytes(*entry);
  while (entries_.size() > kEntries || total > kBytes) {
    auto oldest = entries_.end();
    for (auto i = entries_.begin(); i != entries_.end(); ++i) {
      if (i->second->constraint != nullptr && i->second->used != clock_ && (oldest == entries_.end() || i->second->used < oldest->second->used)) oldest = i;
    }
    if (oldest == entries_.end()) return;
    total -= bytes(*oldest->second);
    entries_.erase(oldest);
  }
}

}  // namespace stoa::models
