// What a DenseIndex holds. Internal to this folder.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "data/index/dense/dense_index.h"
#include "data/index/dense/node_store.h"
#include "data/index/dense/search_context.h"
#include "data/index/dense/vector_graph.h"

namespace stoa::data {

// Nodes that were there at some time and are seen to by later writes, each by one of them.
struct Backlog {
  // The next one, or kNoNode. Who takes it counts it as done.
  std::uint32_t take() {
    if (taken.load(std::memory_order_relaxed) >= end) return kNoNode;
    const std::uint32_t node = taken.fetch_add(1, std::memory_order_relaxed);
    return node < end ? node : kNoNode;
  }
  bool finished() const { return done.load(std::memory_order_acquire) == end; }

  std::uint32_t end = 0;  // the nodes below this
  std::atomic<std::uint32_t> taken = 0, done = 0;
};

// The vectors of an index under one mean. Those of a small index have no links.
struct DenseState {
  DenseState(int dimensions, VectorMetric metric, std::vector<float> mean, bool has_links)
      : coder(dimensions, metric, std::move(mean), best_code_kernels(), has_links), store(coder, has_links), graph(coder, store), linked(has_links) {}

  // Whether walks find everything.
  bool walkable() const { return linked && unlinked.finished(); }
  // Whether so little of it lives that a state of its own size is worth the work.
  bool is_sparse() const { return store.end() > 3 * store.live(); }

  const VectorCoder coder;
  NodeStore store;
  VectorGraph graph;
  const bool linked;
  Backlog unlinked;  // what was there before the graph
  // What takes the place of a sparse state when all that lives is copied (dense_compaction.cc). Who writes alone makes it; writes go into both.
  std::unique_ptr<DenseState> next;
  Backlog uncopied;
  std::atomic<bool> refused = false;  // memory for it
};

struct DenseIndex::Impl {
  Impl(int dimensions, VectorMetric metric);
  ~Impl();

  Status take_vector(const VectorView& view, std::vector<float>& vector) const;

  void put(SearchContext& context, std::uint32_t slot);
  void put_alone(SearchContext& context, DenseState& state, std::uint32_t slot);
  void put_linked(SearchContext& context, DenseState& state, std::uint32_t slot);
  void link_backlog(SearchContext& context, DenseState& state);
  bool remove(SearchContext& context, std::uint32_t slot);
  bool remove_linked(SearchContext& context, DenseState& state, std::uint32_t slot);
  bool remove_alone(DenseState& state, std::uint32_t slot);
  void go_on(SearchContext& context, DenseState& state);
  bool unsettled(const DenseState& state) const;
  void settle(SearchContext& context);
  void rebuild(SearchContext& context, bool linked);
  void replace(std::unique_ptr<DenseState> state);

  void compact_alone(const DenseState& state);
  void begin_compaction(DenseState& state);
  void copy_some(SearchContext& context, DenseState& state);
  bool copy_living(SearchContext& context, DenseState& state, std::uint32_t node);
  std::uint32_t copy_node(SearchContext& context, const DenseState& from, std::uint32_t node, DenseState& to);

  std::span<Candidate> find(SearchContext& context, const DenseState& state, std::size_t width, const SlotFilter* filter) const;
  void scan(SearchContext& context, const DenseState& state, std::size_t width, const SlotFilter* filter) const;

  // Writers of a graph run beside one another, those of a small index and those that replace the state run alone.
  std::shared_lock<std::shared_mutex> write_beside() const;
  std::unique_lock<std::shared_mutex> write_alone() const;

  const int dimensions;
  const VectorMetric metric;
  mutable ContextPool contexts;
  std::atomic<DenseState*> state;  // owned; searches read it with a context lent, and one that was replaced is retired
  mutable std::mutex turn;         // who waits to write alone holds it, so that others do not overtake for ever
  mutable std::shared_mutex writers;
};

}  // namespace stoa::data
