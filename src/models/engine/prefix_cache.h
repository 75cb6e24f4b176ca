// The prefix cache: pages of keys and values that outlive their sequence, found again by the tokens before them.
//
// A page belongs to the tokens it holds and to all tokens before it, so pages form a radix tree whose edges are kPageTokens tokens:
// a new sequence walks from the root along its own tokens and takes every page it meets. Tokens are compared, not only hashed. Each
// salt (a tenant) has a tree of its own: nobody can learn from the time of an answer what others have asked.
//
// A sequence shares its pages as soon as they are full, while it still runs; when two have computed the same page, the second gives
// its own back. What no sequence holds stays until memory is needed and goes leaf first, least recently used first.
//
// Where every layer of the model has a window, a sequence holds only the pages that its next tokens see. Those before them stay for others
// like everything that nobody holds; taken when no leaf is left, they leave their node behind without a page. Who comes along later passes
// over such a node and begins behind a prefix whose last pages, those in the window, are all there.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "models/engine/kv_pool.h"

namespace stoa::models {

// Owned by the engine's thread, like the pool, which outlives it.
class PrefixCache {
  struct Node;

 public:
  // How far a sequence's pages are pages of the tree. Valid as long as the sequence holds those pages.
  struct Place {
    Node* last = nullptr;
    int pages = 0;

    int tokens() const { return pages * kPageTokens; }
    bool operator==(const Place&) const = default;
  };

  // Keeps at most `limit` pages that no sequence holds; 0 turns the cache off. `window`: how many positions a token sees, where every
  // layer has a window; 0: all.
  PrefixCache(KvPool& pool, int limit, int window = 0);
  ~PrefixCache();
  PrefixCache(const PrefixCache&) = delete;
  PrefixCache& operator=(const PrefixCache&) = delete;

  bool enabled() const { return limit_ > 0; }
  int nodes() const { return static_cast<int>(nodes_.size()); }

  // The first page that a sequence needs once so many of its tokens are computed: the last full page at least, and what the window shows.
  int first_needed(int computed) const { return window_ == 0 ? 0 : std::max(0, computed - window_) / kPageTokens; }

  // Walks on from `place` along `tokens` (the sequence's, from its first) while the tree knows the next full page. Each page found
  // takes its position in `pages` with a holder more, or kNoPage where it is not needed; a page that stood there is released.
  // Returns how many were found.
  int follow(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages);
  // Puts the full pages of `tokens`, all of which have been computed, beyond `place` into the tree.
  void add(const std::string& salt, Place& place, std::span<const std::int32_t> tokens, std::vector<PageId>& pages);
  // The sequence at `place` has used its pages: they are the ones to keep longest. Called before they are released.
  void touch(Place place);

  // pool.allocate() that takes pages from the cache where free ones do not suffice.
  bool allocate(int count, std::vector<PageId>& out);
  // Brings what is cached under the limit: called when sequences have released pages.
  void trim();

 private:
  struct Key {
    std::uint64_t parent = 0;  // serial of the node before it
    std::array<std::int32_t, kPageTokens> tokens{};
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Node {
    std::uint64_t serial = 0;           // never used twice: a key whose parent is gone finds nothing
    std::uint64_t used_at = 0;          // a count, not a time
    Node* parent = nullptr;             // null for a root
    const Key* key = nullptr;           // a page's own in nodes_
    const std::string* salt = nullptr;  // a root's own in roots_
    PageId page = kNoPage;
    int children = 0;
  };
  using Nodes = std::unordered_map<Key, Node, Hash>;

  int reach(const Node* from, int begin, std::span<const std::int32_t> tokens, std::vector<Node*>& path);
  void share(Node& node, int at, bool needed, std::vector<PageId>& pages);
  static Key key_of(const Node& parent, std::span<const std::int32_t> tokens, int page);
  Node& root(const std::string& salt);
  void use(Node& node);
  bool evict_one();
  void evict_leaf(Node* node);
  bool evict_passed();

  KvPool& pool_;
  const int limit_, window_;
  std::uint64_t serials_ = 0, clock_ = 0;
  std::map<std::string, Node> roots_;  // those with pages
  Nodes nodes_;
  std::set<std::pair<std::uint64_t, Node*>> leaves_;  // by last use
};

}  // namespace stoa::models
