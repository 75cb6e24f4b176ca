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

// The vectors of an index under one mean. Those of a small index have no links.
struct DenseState {
  DenseState(int dimensions, VectorMetric metric, std::vector<float> mean, bool has_links)
      : coder(dimensions, metric, std::move(mean), best_code_kernels()), store(coder, has_links), graph(coder, store), linked(has_links) {}

  // Whether walks find everything.
  bool walkable() const { return linked && backlog_linked.load(std::memory_order_acquire) == backlog; }

  const VectorCoder coder;
  NodeStore store;
  VectorGraph graph;
  const bool linked;
  // The nodes below this were there before the graph, and are linked by later puts, a few each.
  std::uint32_t backlog = 0;
  std::atomic<std::uint32_t> backlog_taken = 0, backlog_linked = 0;
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
  void rebuild(SearchContext& context, bool linked);
  void replace(std::unique_ptr<DenseState> state);

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
