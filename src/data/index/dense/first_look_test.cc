// Walks that take a first look at nodes, in graphs smaller than those that an index does so in.
#include <gtest/gtest.h>

#include <cstring>

#include "data/index/dense/dense_state.h"
#include "data/index/dense/test_vectors.h"

namespace stoa::data {
namespace {

constexpr int kDimensions = 192;
constexpr std::uint32_t kNodes = 3000;

struct Graph {
  Graph(VectorMetric metric, bool with_looks) : source(kDimensions), state(kDimensions, metric, std::vector<float>(kDimensions, 0.5f), true) {
    for (std::uint32_t slot = 0; slot < kNodes; ++slot) {
      std::vector<float> vector = source.next();
      if (metric == VectorMetric::kCosine)
        for (float scale = 1 / std::sqrt(static_cast<float>(exact_score(VectorMetric::kDot, vector, vector))); float& value : vector) value *= scale;
      const std::uint32_t node = state.store.take();
      state.coder.encode(vector, state.store.record(node), state.store.residual(node), state.store.look(node));
      state.store.set_state(node, kPendingNode);
      state.coder.encode_query(vector, context.query, with_looks);
      state.graph.insert(context, node);
      const auto held = state.store.hold(slot);
      state.store.publish(slot, node);
      vectors[slot] = std::move(vector);
    }
  }

  // The share of the exact ten best that are among the candidates of a walk.
  double recall(const std::vector<std::vector<float>>& queries, VectorMetric metric, bool with_looks, bool beside) {
    std::size_t found = 0;
    const auto even = [](std::uint32_t slot) { return slot % 2 == 0; };
    for (const auto& query : queries) {
      state.coder.encode_query(query, context.query, with_looks);
      if (beside) {
        EXPECT_TRUE(state.graph.walk_beside(context, kWidth, kNodes, even));
      } else {
        state.graph.walk(context, kWidth);
      }
      for (const std::uint32_t slot : exact_best(metric, vectors, query, beside ? 20 : 10)) {
        if (beside && !even(slot)) continue;
        for (const Candidate& candidate : (beside ? context.allowed : context.pool).candidates()) found += state.store.state(candidate.node) == slot;
      }
    }
    return static_cast<double>(found) / static_cast<double>(10 * queries.size());
  }

  static constexpr std::size_t kWidth = 48;
  TestVectors source;
  DenseState state;
  SearchContext context;
  VectorsBySlot vectors;
};

TEST(FirstLook, WalksFindAsMuch) {
  for (const VectorMetric metric : {VectorMetric::kCosine, VectorMetric::kDot, VectorMetric::kL2}) {
    SCOPED_TRACE(static_cast<int>(metric));
    Graph plain(metric, false), looked(metric, true);
    std::vector<std::vector<float>> queries;
    for (int i = 0; i < 80; ++i) queries.push_back(plain.source.next());
    if (metric == VectorMetric::kCosine)
      for (auto& query : queries)
        for (float scale = 1 / std::sqrt(static_cast<float>(exact_score(VectorMetric::kDot, query, query))); float& value : query) value *= scale;
    for (const bool beside : {false, true}) {
      const double without = plain.recall(queries, metric, false, beside);
      EXPECT_GE(looked.recall(queries, metric, true, beside), without - 0.01) << without;
      // One graph serves both.
      EXPECT_GE(looked.recall(queries, metric, false, beside), without - 0.01) << without;
    }
  }
}

TEST(FirstLook, MostNodesArePassedByAtALook) {
  Graph graph(VectorMetric::kL2, true);
  const auto query = graph.source.next();
  graph.state.coder.encode_query(query, graph.context.query, true);
  graph.state.graph.walk(graph.context, Graph::kWidth);
  const float worst = graph.context.pool.worst();
  std::size_t left = 0, better = 0, missed = 0;
  NodeBatch batch;
  for (std::uint32_t node = 0; node < kNodes; ++node) {
    const std::byte* const record = graph.state.store.record(node);
    float key = 0;
    graph.state.coder.keys(graph.context.query, {&record, 1}, &key);
    batch.count = 1;
    batch.by_looks = true;
    batch.nodes[0] = node;
    batch.records[0] = graph.state.store.look(node);
    graph.state.graph.pass(graph.context, batch, worst);
    left += batch.count;
    better += key > worst;
    missed += key > worst && batch.count == 0;
    if (batch.count > 0) {
      EXPECT_EQ(batch.records[0], record);
    }
  }
  EXPECT_LE(left, kNodes / 4);
  EXPECT_LE(missed, better / 5);
}

TEST(FirstLook, CopiesHaveTheSameLooks) {
  TestVectors source(kDimensions);
  DenseState from(kDimensions, VectorMetric::kL2, {}, true), to(kDimensions, VectorMetric::kL2, {}, true);
  const std::uint32_t node = from.store.take(), copy = to.store.take();
  from.coder.encode(source.next(), from.store.record(node), from.store.residual(node), from.store.look(node));
  to.store.copy(copy, from.store, node);
  EXPECT_EQ(from.store.look_bytes(), 64u);
  EXPECT_EQ(std::memcmp(to.store.look(copy), from.store.look(node), 64), 0);
}

TEST(FirstLook, OfManyDimensionsAndNodesOnly) {
  const DenseState few(LookCoder::kFewestDimensions - 1, VectorMetric::kL2, {}, true), scanned(kDimensions, VectorMetric::kL2, {}, false), many(kDimensions, VectorMetric::kL2, {}, true);
  EXPECT_EQ(few.store.look_bytes(), 0u);
  EXPECT_EQ(scanned.store.look_bytes(), 0u);
  EXPECT_EQ(many.store.look_bytes(), 64u);
  EXPECT_FALSE(many.store.looks_pay());
}

}  // namespace
}  // namespace stoa::data
