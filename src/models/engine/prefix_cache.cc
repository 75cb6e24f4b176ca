#include "models/engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace stoa::models {

std::size_t PrefixCache::Hash::operator()(const Key& key) const {
  std::uint64_t h = key.parent * 0x9e3779b97f4a7c15ull;
  for (const std::int32_t token : key.tokens) {
    h = (std::rotl(h, 23) ^ static_cast<std::uint32_t>(token)) * 0xbf58476d1ce4e5b9ull;
  }
  return h ^ (h >> 31);
}

// A window smaller than a page counts as one: the node of the last full page is where a sequence has its place, so it must not go.
PrefixCache::PrefixCache(KvPool& pool, int limit, int window)
    : pool_(pool), limit_(limit), window_(window == 0 ? 0 : std::max(window, kPageTokens)) {}

PrefixCache::~PrefixCache() {
  for (auto& [key, node] : nodes_) {
    if (node.page != kNoPage) pool_.drop(node.page);
  }
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

// The nodes behind `from` on the way along `tokens`, as far as a sequence can begin behind them. Returns the first page that it needs then.
int PrefixCache::reach(const Node* from, int begin, std::span<const std::int32_t> tokens, std::vector<Node*>& path) {
  const int full = static_cast<int>(tokens.size()) / kPageTokens;
  int whole_from = 0;  // no page is missing from here on
  std::size_t usable = 0;
  for (int page = begin; page < full; ++page) {
    const auto found = nodes_.find(key_of(*from, tokens, page));
    if (found == nodes_.end()) break;
    from = path.emplace_back(&found->second);
    if (from->page == kNoPage) whole_from = page + 1;
    if (whole_from <= first_needed((page + 1) * kPageTokens)) usable = path.size();
  }
  path.resize(usable);
  return first_needed((begin + static_cast<int>(usable)) * kPageTokens);
}

// The node's page takes its position in the sequence's pages.
void PrefixCache::share(Node& node, int at, bool needed, std::vector<PageId>& pages) {
  use(node);
  const PageId page = needed ? node.page : kNoPage;
  if (page != kNoPage) pool_.retain(page);
  if (static_cast<std::size_t>(at) == pages.size()) {
    pages.push_back(page);
  } else if (const PageId before = std::exchange(pages[static_cast<std::size_t>(at)], page); before != kNoPage) {
    pool_.release(before);
  }
}

int PrefixCache::follow(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages) {
  const auto known = roots_.find(salt);
  if (known == roots_.end()) return 0;
  std::vector<Node*> path;
  const int needed = reach(place.last == nullptr ? &known->second : place.last, place.pages, tokens, path);
  for (Node* const node : path) {
    share(*node, place.pages, place.pages >= needed, pages);
    ++place.pages;
    place.last = node;
  }
  return static_cast<int>(path.size());
}

void PrefixCache::add(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages) {
  if (!enabled()) return;
  const int full = static_cast<int>(tokens.size()) / kPageTokens;
  for (; place.pages < full; ++place.pages) {
    Node& parent = place.last == nullptr ? root(salt) : *place.last;
    const auto [found, is_new] = nodes_.try_emplace(key_of(parent, tokens, place.pages));
    Node& node = found->second;
    if (is_new) {
      node = {.serial = ++serials_, .parent = &parent, .key = &found->first};
      if (parent.children++ == 0) leaves_.erase({parent.used_at, &parent});
    }
    if (node.page == kNoPage) {
      node.page = pages[static_cast<std::size_t>(place.pages)];
      pool_.keep(node.page);
      use(node);
    } else {
      share(node, place.pages, true, pages);  // another sequence was here first
    }
    place.last = &node;
  }
}

void PrefixCache::touch(Place place) {
  for (Node* node = place.last; node != nullptr && node->parent != nullptr; node = node->parent) use(*node);
}

bool PrefixCache::evict_one() {
  // Pages in use stay; every sequence has its place at a node whose page it holds, so at most one leaf a sequence is passed over.
  const auto found = std::ranges::find_if(leaves_, [&](const auto& leaf) { return !pool_.used(leaf.second->page); });
  if (found == leaves_.end()) return evict_passed();
  evict_leaf(found->second);
  return true;
}

// With the nodes before it that have neither page nor children left.
void PrefixCache::evict_leaf(Node* node) {
  leaves_.erase({node->used_at, node});
  pool_.drop(node->page);
  for (;;) {
    Node* const parent = node->parent;
    nodes_.erase(nodes_.find(*node->key));
    if (--parent->children > 0) return;
    if (parent->parent == nullptr) {
      roots_.erase(roots_.find(*parent->salt));
      return;
    }
    if (parent->page != kNoPage) {
      leaves_.insert({parent->used_at, parent});
      return;
    }
    node = parent;
  }
}

// The page inside of the tree that was left behind a window longest ago. Without windows there is none: who holds a page holds all before it.
bool PrefixCache::evict_passed() {
  if (window_ == 0) return false;
  Node* oldest = nullptr;
  for (auto& [key, node] : nodes_) {
    const bool passed = node.page != kNoPage && !pool_.used(node.page);
    if (passed && (oldest == nullptr || node.used_at < oldest->used_at)) oldest = &node;
  }
  if (oldest == nullptr) return false;
  pool_.drop(std::exchange(oldest->page, kNoPage));
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
