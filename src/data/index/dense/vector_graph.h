// The graph over the nodes of a store: HNSW, walked on codes. Internal to this folder.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "data/index/dense/node_store.h"
#include "data/index/dense/search_context.h"

namespace stoa::data {

// Walks run beside one another and beside changes. A list of links that is rewritten may be read half old and half new: each entry is a node in either case. Lists are
// written under one of few locks, chosen by the node.
class VectorGraph {
 public:
  static constexpr std::size_t kBuildWidth = 200;

  VectorGraph(const VectorCoder& coder, NodeStore& store) : coder_(coder), store_(store) {}

  // Links a node whose record is written; context.query is the node's vector.
  void insert(SearchContext& context, std::uint32_t node);

  // Leaves the best `width` nodes that the walk found in context.pool, best first, removed ones included.
  void walk(SearchContext& context, std::size_t width) const;
  // Leaves the best `width` nodes whose state `accept` lets pass in context.allowed, walking through the others. False, and nothing of use, when more
  // than `budget` nodes were looked at.
  template <class Accept>
  bool walk_beside(SearchContext& context, std::size_t width, std::size_t budget, const Accept& accept) const;

  // Of a batch with looks, leaves the nodes whose keys may well be greater than this one, with their records, which are on their way then. Without looks all are left.
  void pass(const SearchContext& context, NodeBatch& batch, float key) const;

  // A node of this graph was removed (its state says so already).
  void removed(std::uint32_t node);
  std::size_t removed_count() const { return removed_count_.load(std::memory_order_relaxed); }
  // When a tenth of the nodes is removed, links their neighbours anew and gives the nodes back: `count` nodes are looked at in one call, so it takes a bounded time. Returns
  // at once while another thread is at it.
  void consolidate(SearchContext& context, ContextPool& contexts, std::size_t count);

  // For snapshots.
  std::uint32_t entry() const { return static_cast<std::uint32_t>(entry_.load(std::memory_order_acquire)); }
  void restore(std::uint32_t entry, std::uint64_t draws);

 private:
  using Link = NodeStore::Link;
  static constexpr std::uint64_t kNoEntry = ~std::uint64_t{0};
  static int level_of(std::uint64_t entry) { return static_cast<int>(entry >> 32); }

  struct Selection {
    std::array<std::uint32_t, NodeStore::kBaseLinks> nodes;
    std::size_t count = 0;
  };
  // One round of removing nodes.
  struct Round {
    std::vector<std::uint32_t> leaving;   // nodes; from the back they are given back
    std::vector<std::uint64_t> is_leaving;  // a bit for each node
    std::atomic<bool> ready = false;      // no put that began before the round is still running
    std::uint32_t next = 0, end = 0;
    std::atomic<bool> unreachable = false;  // nobody walks through the leaving nodes any more
    std::uint64_t best = kNoEntry;        // of the nodes that stay, one of the highest
    bool leaves(std::uint32_t node) const { return node / 64 < is_leaving.size() && (is_leaving[node / 64] >> (node % 64) & 1) != 0; }
  };

  // Holds the lock of a node's lists. Waits are short, and rare with so many locks.
  class Locked {
   public:
    Locked(VectorGraph& graph, std::uint32_t node) : flag_(graph.locks_[node % graph.locks_.size()]) {
      for (int tries = 0; flag_.test_and_set(std::memory_order_acquire); ++tries)
        if (tries > 100) std::this_thread::yield();
    }
    ~Locked() { flag_.clear(std::memory_order_release); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;

   private:
    std::atomic_flag& flag_;
  };

  // Puts the neighbours that this walk has not seen into the batch; their records are on their way then, or their looks, if these are asked for and the query has one.
  void look_at(SearchContext& context, std::uint32_t node, int level, NodeBatch& batch, bool by_looks = false) const;
  void score(const SearchContext& context, NodeBatch& batch) const;
  void fetch_links(std::uint32_t node) const;
  Candidate start(SearchContext& context, std::uint32_t node) const;
  std::uint32_t descend(SearchContext& context, std::uint64_t entry, int level) const;
  // Walks as far as nodes come that the pool takes. False, and nothing of use in the pool, when more than `budget` nodes were looked at.
  template <class Pool>
  bool walk_level(SearchContext& context, std::uint32_t from, int level, Pool& pool, std::size_t budget = SIZE_MAX) const;
  template <class Accept>
  bool walk_level_beside(SearchContext& context, std::uint32_t from, int level, std::size_t width, std::size_t budget, const Accept& accept) const;
  std::uint32_t find_links(SearchContext& context, std::uint32_t from, int level, std::uint32_t node, Selection& selection) const;

  void select(std::span<const Candidate> candidates, float constant, std::size_t limit, Selection& selection) const;
  void select_for(std::uint32_t node, std::span<const std::uint32_t> nodes, std::size_t limit, Selection& selection) const;
  static void write(std::span<Link> links, const Selection& selection);
  void connect(std::uint32_t node, int level, std::uint32_t to);
  bool relink(const Round& round, std::uint32_t node, int level);
  void reconnect(SearchContext& context, std::uint32_t node, int level);
  void unlinked(ContextPool& contexts);
  void give_back(std::size_t count);

  const VectorCoder& coder_;
  NodeStore& store_;
  std::atomic<std::uint64_t> entry_ = kNoEntry;  // level and node
  std::mutex entry_mutex_;                       // of its change
  std::atomic<std::uint64_t> draws_ = 0;
  std::array<std::atomic_flag, 1024> locks_ = {};
  std::atomic<std::size_t> removed_count_ = 0;
  std::mutex removed_mutex_;
  std::vector<std::uint32_t> removed_;           // since the round began
  std::mutex round_mutex_;
  std::shared_ptr<Round> round_;
};

template <class Pool>
bool VectorGraph::walk_level(SearchContext& context, std::uint32_t from, int level, Pool& pool, std::size_t budget) const {
  pool.insert(start(context, from));
  // A node is chosen two steps before its neighbours are scored: its links, then their records or looks, come from memory meanwhile. Nearly all that is in the pool at some
  // time is chosen in the end, so little is chosen in vain. Until the pool is full there is no key to compare with looks.
  NodeBatch *coming = &context.batches[0], *here = &context.batches[1];
  here->count = coming->count = 0;
  std::uint32_t chosen = kNoNode;
  do {
    coming->count = 0;
    if (here->count > 0 && pool.full()) pass(context, *here, pool.worst());
    if (chosen != kNoNode) look_at(context, chosen, level, *coming, pool.full());
    if (context.visited.count() > budget) return false;
    chosen = pool.take();
    if (chosen != kNoNode && level == 0) fetch_links(chosen);
    score(context, *here);
    for (std::size_t i = 0; i < here->count; ++i) pool.insert({here->keys[i], here->nodes[i]});
    std::swap(coming, here);
    if (chosen == kNoNode && here->count == 0) chosen = pool.take();
  } while (chosen != kNoNode || here->count > 0);
  return true;
}

template <class Accept>
bool VectorGraph::walk_level_beside(SearchContext& context, std::uint32_t from, int level, std::size_t width, std::size_t budget, const Accept& accept) const {
  context.allowed.reset(width);
  context.frontier.clear();
  // What is walked through is in the frontier, what is looked for in the pool of the allowed.
  struct Pool {
    bool full() const { return allowed.full(); }
    float worst() const { return allowed.worst(); }
    void insert(Candidate candidate) {
      if (full() && candidate.key <= worst()) return;
      frontier.push_back(candidate);
      std::ranges::push_heap(frontier, {}, &Candidate::key);
      if (accept(store.state(candidate.node))) allowed.insert(candidate);
    }
    std::uint32_t take() {
      if (frontier.empty() || (full() && frontier.front().key < worst())) return kNoNode;
      std::ranges::pop_heap(frontier, {}, &Candidate::key);
      const std::uint32_t node = frontier.back().node;
      frontier.pop_back();
      return node;
    }
    CandidatePool& allowed;
    std::vector<Candidate>& frontier;
    const NodeStore& store;
    const Accept& accept;
  } pool = {context.allowed, context.frontier, store_, accept};
  return walk_level(context, from, level, pool, budget);
}

template <class Accept>
bool VectorGraph::walk_beside(SearchContext& context, std::size_t width, std::size_t budget, const Accept& accept) const {
  context.allowed.reset(width);
  const std::uint64_t entry = entry_.load(std::memory_order_acquire);
  return entry == kNoEntry || walk_level_beside(context, descend(context, entry, 0), 0, width, budget, accept);
}

}  // namespace stoa::data
