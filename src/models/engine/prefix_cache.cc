#include "models/engine/prefix_cache.h"

#include <algorithm>
#include <bit>

namespace stoa::models {

std::size_t PrefixCache::Hash::operator()(const Key& key) const {
  std::uint64_t h = key.parent * 0x9e3779b97f4a7c15ull;
  for (const std::int32_t token : key.tokens) {
    h = (std::rotl(h, 23) ^ static_cast<std::uint32_t>(token)) * 0xbf58476d1ce4e5b9ull;
  }
  return h ^ (h >> 31);
}

PrefixCache::PrefixCache(KvPool& pool, int limit) : pool_(pool), limit_(limit) {}

PrefixCache::~PrefixCache() {
  for (auto& [key, node] : nodes_) pool_.drop(node.page);
}

PrefixCache::Key PrefixCache::key_of(const Node& parent, std::span<const std::int32_t> tokens, int page) {
  Key key{.parent = parent.serial};
  std::ranges::copy(tokens.subspan(static_cast<std::size_t>(page) * kPageTokens, kPageTokens), key.tokens.begin());
  return key;
}

PrefixCache::Node& PrefixCache::root(const std::string& salt) {
  const auto [found, is_new] = roots_.try_emplace(salt);
  auto& node = found->second;
  if (is_new) {
    node.serial = ++serials_;
    node.salt = &found->first;
  }
  return node;
}

void PrefixCache::use(Node& node) {
  if (node.children == 0) leaves_.erase({node.used_at, &node});
  node.used_at = ++clock_;
  if (node.children == 0) leaves_.insert({node.used_at, &node});
}

int PrefixCache::follow(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages) {
  const auto known = roots_.find(salt);
  if (known == roots_.end()) return 0;
  if (place.last == nullptr) place.last = &known->second;
  const int begin = place.pages, full = static_cast<int>(tokens.size()) / kPageTokens;
  while (place.pages < full) {
    const auto found = nodes_.find(key_of(*place.last, tokens, place.pages));
    if (found == nodes_.end()) break;
    Node& node = found->second;
    use(node);
    pool_.retain(node.page);
    const auto at = static_cast<std::size_t>(place.pages++);
    if (at < pages.size()) {
      pool_.release(std::exchange(pages[at], node.page));
    } else {
      pages.push_back(node.page);
    }
    place.last = &node;
  }
  if (place.pages == 0) place.last = nullptr;  // a root does not stay for its visitors
  return place.pages - begin;
}

void PrefixCache::add(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages) {
  if (!enabled()) return;
  const int full = static_cast<int>(tokens.size()) / kPageTokens;
  while (place.pages < full) {
    // Another sequence may have been here first.
    if (follow(salt, place, tokens, pages) > 0) continue;
    Node& parent = place.last == nullptr ? root(salt) : *place.last;
    const auto [added, is_new] = nodes_.try_emplace(key_of(parent, tokens, place.pages));
    Node& node = added->second;
    node = {.serial = ++serials_, .parent = &parent, .key = &added->first, .page = pages[static_cast<std::size_t>(place.pages)]};
    pool_.keep(node.page);
    if (parent.children++ == 0) leaves_.erase({parent.used_at, &parent});
    use(node);
    place.last = &node;
    ++place.pages;
  }
}

void PrefixCache::touch(Place place) {
  for (Node* node = place.last; node != nullptr && node->parent != nullptr; node = node->parent) use(*node);
}

bool PrefixCache::evict_one() {
  // Pages in use stay; every sequence holds the whole way from the root, so at most one leaf a sequence is passed over.
  const auto found = std::ranges::find_if(leaves_, [&](const auto& leaf) { return !pool_.used(leaf.second->page); });
  if (found == leaves_.end()) return false;
  Node* const node = found->second;
  Node* const parent = node->parent;
  leaves_.erase(found);
  pool_.drop(node->page);
  nodes_.erase(nodes_.find(*node->key));
  if (--parent->children > 0) return true;
  if (parent->parent != nullptr) {
    leaves_.insert({parent->used_at, parent});
  } else {
    roots_.erase(roots_.find(*parent->salt));
  }
  return true;
}

bool PrefixCache::allocate(int count, std::vector<PageId>& out) {
  if (count > pool_.free_pages() + pool_.cached_pages()) return false;
  while (pool_.free_pages() < count) {
    if (!evict_one()) return false;
  }
  return pool_.allocate(count, out);
}

void PrefixCache::trim() {
  while (pool_.cached_pages() > limit_ && evict_one()) {
  }
}

}  // namespace stoa::models
