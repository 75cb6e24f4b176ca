#include "data/index/dense/dense_index.h"

#include <gtest/gtest.h>

#include <cmath>
#include <latch>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "data/index/dense/test_vectors.h"

namespace stoa::data {
namespace {

constexpr int kDimensions = 48, kLookDimensions = 192;  // nodes without looks, and with them
constexpr VectorMetric kMetrics[] = {VectorMetric::kCosine, VectorMetric::kDot, VectorMetric::kL2};
constexpr std::size_t kSome = 200, kMany = 7000;  // without a graph, and with one that all are in

std::vector<std::vector<float>> make_queries(TestVectors& source, int count) {
  std::vector<std::vector<float>> queries;
  for (int i = 0; i < count; ++i) queries.push_back(source.next());
  return queries;
}

struct Filled {
  explicit Filled(std::size_t count, VectorMetric metric = VectorMetric::kCosine, int dimensions = kDimensions)
      : source(dimensions), index(DenseIndex::create(dimensions, metric).value()) {
    for (std::uint32_t slot = 0; slot < count; ++slot) put(slot, source.next());
  }
  void put(std::uint32_t slot, const std::vector<float>& vector) {
    ASSERT_TRUE(index.put(slot, vector).has_value());
    vectors[slot] = vector;
  }
  void remove(std::uint32_t slot) { EXPECT_EQ(index.remove(slot), vectors.erase(slot) == 1); }

  TestVectors source;
  DenseIndex index;
  VectorsBySlot vectors;
};

struct Bits {
  explicit Bits(std::size_t slots) : words((slots + 63) / 64) {}
  void set(std::uint32_t slot) {
    words[slot / 64] |= std::uint64_t{1} << (slot % 64);
    filter = {words, filter.count + 1};
  }
  std::vector<std::uint64_t> words;
  SlotFilter filter;
};

TEST(DenseIndex, FindsWhatAnExactSearchFinds) {
  constexpr std::pair<std::size_t, int> kSizes[] = {{1, 1}, {kSome, 3}, {kSome, 65}, {kMany, kDimensions}, {kMany, kLookDimensions}};
  for (const auto metric : kMetrics)
    for (const auto& [count, dimensions] : kSizes) {
      SCOPED_TRACE(testing::Message() << static_cast<int>(metric) << ", " << count << " of " << dimensions);
      Filled filled(count, metric, dimensions);
      EXPECT_EQ(filled.index.size(), count);
      EXPECT_GE(recall(filled.index, filled.vectors, make_queries(filled.source, 50), 128), dimensions == 3 ? 0.95 : 0.97);
    }
}

TEST(DenseIndex, ScoresAreTheMetrics) {
  for (const auto metric : kMetrics) {
    Filled filled(kMany, metric);
    for (const auto& query : make_queries(filled.source, 10)) {
      const auto hits = filled.index.search(query, 10).value();
      ASSERT_EQ(hits.size(), 10u);
      const double length = std::sqrt(exact_score(VectorMetric::kDot, query, query)), tolerance = metric == VectorMetric::kCosine ? 1e-3 : 1e-3 * length * length;
      for (std::size_t i = 0; i < hits.size(); ++i) {
        EXPECT_NEAR(hits[i].score, exact_score(metric, query, filled.vectors[hits[i].slot]), tolerance);
        EXPECT_LE(hits[i].score, hits[i == 0 ? 0 : i - 1].score);
      }
    }
  }
}

TEST(DenseIndex, TakesHalves) {
  auto index = DenseIndex::create(4, VectorMetric::kL2).value();
  const std::vector<std::uint16_t> f16 = {0x3C00, 0xC000, 0x3555, 0x0001};   // 1, -2, 0.33325, 2^-24
  const std::vector<std::uint16_t> bf16 = {0x3F80, 0xC000, 0x3EAB, 0x0000};  // 1, -2, 0.334, 0
  ASSERT_TRUE(index.put(1, VectorView::f16(f16)).has_value());
  ASSERT_TRUE(index.put(2, VectorView::bf16(bf16)).has_value());
  const auto halves = index.search(std::vector<float>{1, -2, 0.3335f, 0}, 2).value();
  ASSERT_EQ(halves.size(), 2u);
  for (const auto& hit : halves) EXPECT_NEAR(hit.score, 0, 1e-3);
  EXPECT_FALSE(index.put(3, VectorView::f16(std::vector<std::uint16_t>{0x7C00, 0, 0, 0})).has_value());   // infinite
  EXPECT_FALSE(index.put(3, VectorView::bf16(std::vector<std::uint16_t>{0x7FC0, 0, 0, 0})).has_value());  // not a number
}

TEST(DenseIndex, RefusesWhatItCannotCompare) {
  const float infinite = std::numeric_limits<float>::infinity(), none = std::numeric_limits<float>::quiet_NaN();
  const struct {
    VectorMetric metric;
    std::vector<float> vector;
    std::string says;
  } cases[] = {
      {VectorMetric::kCosine, {1, 2}, "2 dimensions, the index 3"},
      {VectorMetric::kCosine, {1, none, 2}, "dimension 1 of a vector is nan"},
      {VectorMetric::kDot, {1, 2, -infinite}, "dimension 2 of a vector is -inf"},
      {VectorMetric::kCosine, {0, 0, 0}, "zero in all 3 dimensions"},
      {VectorMetric::kL2, {1e30f, 0, 0}, "length of a vector is 1e+30"},
  };
  for (const auto& refused : cases) {
    auto index = DenseIndex::create(3, refused.metric).value();
    const auto put = index.put(0, refused.vector);
    ASSERT_FALSE(put.has_value());
    EXPECT_EQ(put.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(put.error().message.find(refused.says), std::string::npos) << put.error().message;
    EXPECT_FALSE(index.search(refused.vector, 1).has_value());
    EXPECT_EQ(index.size(), 0u);
  }
  EXPECT_FALSE(DenseIndex::create(0).has_value());
  EXPECT_FALSE(DenseIndex::create(DenseIndex::kMaxDimensions + 1).has_value());
  auto index = DenseIndex::create(1, VectorMetric::kL2).value();
  EXPECT_FALSE(index.put(DenseIndex::kMaxSlot + 1, std::vector<float>{1}).has_value());
  EXPECT_TRUE(index.put(DenseIndex::kMaxSlot, std::vector<float>{0}).has_value());
  EXPECT_FALSE(index.search(std::vector<float>{1}, DenseIndex::kMaxResults + 1).has_value());
  EXPECT_EQ(index.search(std::vector<float>{1}, DenseIndex::kMaxResults).value().size(), 1u);
  EXPECT_TRUE(index.search(std::vector<float>{1}, 0).value().empty());
}

TEST(DenseIndex, VectorsThatAreAllAlikeAreFound) {
  auto index = DenseIndex::create(8).value();
  for (std::uint32_t slot = 0; slot < kMany; ++slot) ASSERT_TRUE(index.put(slot, std::vector<float>(8, 1)).has_value());
  const auto hits = index.search(std::vector<float>(8, 2), 10).value();
  ASSERT_EQ(hits.size(), 10u);
  for (const auto& hit : hits) EXPECT_NEAR(hit.score, 1, 1e-5);
}

TEST(DenseIndex, PutReplacesAndRemoveRemoves) {
  constexpr std::size_t kCounts[] = {kSome, kMany};
  for (const std::size_t count : kCounts) {
    Filled filled(count);
    const auto old = filled.vectors[7];
    filled.put(7, filled.source.next());
    EXPECT_EQ(filled.index.size(), count);
    EXPECT_EQ(filled.index.search(filled.vectors[7], 1).value()[0].slot, 7u);
    EXPECT_NE(filled.index.search(old, 1).value()[0].slot, 7u);
    filled.remove(7);
    filled.remove(7);
    filled.remove(static_cast<std::uint32_t>(count) + 1000);
    EXPECT_EQ(filled.index.size(), count - 1);
    const auto left = filled.index.search(old, 100).value();
    for (const auto& hit : left) EXPECT_NE(hit.slot, 7u);
  }
}

class DenseIndexOf : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Dimensions, DenseIndexOf, testing::Values(kDimensions, kLookDimensions));

TEST_P(DenseIndexOf, FiltersKeepTheRecall) {
  Filled filled(kMany, VectorMetric::kCosine, GetParam());
  auto queries = make_queries(filled.source, 20);
  std::mt19937 random(3);
  constexpr double kShares[] = {0.5, 0.1, 0.01, 0.001};
  for (const double share : kShares) {
    Bits any(kMany), near(kMany), far(kMany);
    const auto order = exact_best(VectorMetric::kCosine, filled.vectors, queries[0], kMany);
    const auto count = static_cast<std::size_t>(share * kMany);
    for (std::size_t i = 0; i < kMany; ++i) {
      if (random() % kMany < count) any.set(static_cast<std::uint32_t>(i));
      if (i < count) near.set(order[i]), far.set(order[kMany - 1 - i]);
    }
    const Bits* const kinds[] = {&any, &near, &far};
    for (const Bits* bits : kinds) {
      EXPECT_GE(recall(filled.index, filled.vectors, queries, 64, &bits->filter), 0.98) << share;
      const auto hits = filled.index.search(queries[1], 10, 16, &bits->filter).value();
      for (const auto& hit : hits) EXPECT_TRUE(bits->filter.allows(hit.slot));
    }
  }
  const Bits none(kMany);
  EXPECT_TRUE(filled.index.search(queries[0], 10, 64, &none.filter).value().empty());
}

TEST_P(DenseIndexOf, ChurnKeepsRecallAndMemory) {
  Filled filled(kMany, VectorMetric::kCosine, GetParam());
  const auto queries = make_queries(filled.source, 100);
  const double fresh = recall(filled.index, filled.vectors, queries);
  const std::size_t memory = filled.index.memory_bytes();
  for (int round = 0; round < 3; ++round)
    for (std::uint32_t slot = 0; slot < kMany * 3 / 10; ++slot) {
      filled.remove(slot);
      if (slot >= 50) filled.put(slot - 50, filled.source.next());
    }
  EXPECT_GE(recall(filled.index, filled.vectors, queries), fresh - 0.005);
  EXPECT_LE(filled.index.memory_bytes(), memory * 13 / 10);
}

TEST(DenseIndex, OtherRegionsAreFoundWhenOneIsRemoved) {
  TestVectors source(kDimensions);
  auto index = DenseIndex::create(kDimensions).value();
  VectorsBySlot vectors;
  for (std::uint32_t slot = 0; slot < kMany; ++slot) {
    vectors[slot] = source.next(slot % 10);
    ASSERT_TRUE(index.put(slot, vectors[slot]).has_value());
  }
  for (std::uint32_t slot = 0; slot < kMany; ++slot)
    if (slot % 10 < 7) {
      EXPECT_TRUE(index.remove(slot));
      vectors.erase(slot);
    }
  std::vector<std::vector<float>> queries;
  for (std::size_t cluster = 0; cluster < 10; ++cluster) queries.push_back(source.next(cluster));
  EXPECT_GE(recall(index, vectors, queries), 0.98);
}

TEST(DenseIndex, GivesMemoryBackWhenAllIsRemoved) {
  const std::size_t empty = DenseIndex::create(384).value().memory_bytes();
  EXPECT_LT(empty, 4096u);
  Filled filled(kMany, VectorMetric::kCosine, 384);
  EXPECT_GT(filled.index.memory_bytes(), kMany * 700);
  for (std::uint32_t slot = 0; slot < kMany; ++slot) filled.remove(slot);
  EXPECT_EQ(filled.index.size(), 0u);
  EXPECT_TRUE(filled.index.search(filled.source.next(), 10).value().empty());
  EXPECT_LT(filled.index.memory_bytes(), 200'000u);  // and what a search keeps for the next
  filled.put(3, filled.source.next());
  EXPECT_EQ(filled.index.search(filled.vectors[3], 10).value().size(), 1u);
}

TEST(DenseIndex, StaysRightWhenTheVectorsDrift) {
  Filled filled(kMany, VectorMetric::kL2);
  for (std::uint32_t slot = 0; slot < kMany; ++slot) {
    auto vector = filled.source.next();
    for (float& value : vector) value += 20;
    filled.put(slot, vector);
  }
  std::vector<std::vector<float>> queries;
  for (int i = 0; i < 50; ++i) {
    queries.push_back(filled.source.next());
    for (float& value : queries.back()) value += 20;
  }
  EXPECT_GE(recall(filled.index, filled.vectors, queries, 128), 0.95);
}

TEST(DenseIndex, SearchesRunBesidePutsAndRemoves) {
  constexpr std::uint32_t kKept = 500, kSlots = 6500;
  TestVectors source(16);
  auto index = DenseIndex::create(16).value();
  std::vector<std::vector<float>> vectors;
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) vectors.push_back(source.next());
  for (std::uint32_t slot = 0; slot < kKept; ++slot) ASSERT_TRUE(index.put(slot, vectors[slot]).has_value());
  std::atomic<bool> done = false;
  std::vector<std::jthread> threads;
  for (std::uint32_t writer = 0; writer < 2; ++writer)
    threads.emplace_back([&, writer] {
      for (std::uint32_t slot = kKept + writer; slot < kSlots; slot += 2) EXPECT_TRUE(index.put(slot, vectors[slot]).has_value());
      for (std::uint32_t slot = kKept + writer; slot < kSlots; slot += 2) {
        if (slot % 4 < 2) {
          EXPECT_TRUE(index.remove(slot));
        } else {
          EXPECT_TRUE(index.put(slot, vectors[slot - kKept]).has_value());
        }
      }
      if (writer == 0) done = true;
    });
  std::size_t missed = 0, searches = 0;
  for (std::uint32_t slot = 0; !done || searches < kKept; slot = (slot + 1) % kKept, ++searches) {
    const auto hits = index.search(vectors[slot], 5, 32).value();
    std::set<std::uint32_t> slots;
    for (const auto& hit : hits) slots.insert(hit.slot);
    EXPECT_EQ(slots.size(), hits.size());
    missed += !slots.contains(slot);
  }
  EXPECT_LE(missed, searches / 50);
  threads.clear();
  EXPECT_EQ(index.size(), kKept + (kSlots - kKept) / 2);
}

TEST(DenseIndex, GivesMemoryBackWhenMostIsRemoved) {
  constexpr std::uint32_t kAll = 20'000, kLeft[] = {2000, 5500};  // scanned, and in a graph
  Filled whole(kAll, VectorMetric::kCosine, 16);
  Bytes snapshot;
  ASSERT_TRUE(whole.index.save([&](ByteSpan bytes) {
    snapshot.insert(snapshot.end(), bytes.begin(), bytes.end());
    return Status();
  }).has_value());
  for (const std::uint32_t left : kLeft)
    for (const bool at_random : {true, false}) {
      SCOPED_TRACE(testing::Message() << left << (at_random ? " at random" : " in order"));
      Filled filled(0, VectorMetric::kCosine, 16);
      filled.index = DenseIndex::load(snapshot).value();
      filled.vectors = whole.vectors;
      std::vector<std::uint32_t> order(kAll), place(kAll);
      std::iota(order.begin(), order.end(), 0u);
      if (at_random) std::shuffle(order.begin(), order.end(), std::mt19937(5));
      for (std::uint32_t i = 0; i < kAll; ++i) place[order[i]] = i;
      const std::size_t before = filled.index.memory_bytes();

      // Meanwhile what stays is found, and what has gone is not.
      std::atomic<std::uint32_t> gone = 0;
      std::size_t searches = 0, missed = 0, phantoms = 0;
      {
        const std::jthread searcher([&](const std::stop_token& stop) {
          for (std::uint32_t i = 0; !stop.stop_requested(); i = (i + 7) % left, ++searches) {
            const std::uint32_t gone_before = gone, slot = order[kAll - left + i];
            const auto hits = filled.index.search(filled.vectors.at(slot), 5).value();
            missed += std::ranges::find(hits, slot, &DenseHit::slot) == hits.end();
            for (const DenseHit& hit : hits) phantoms += place[hit.slot] < gone_before;
          }
        });
        for (std::uint32_t i = 0; i < kAll - left; ++i, ++gone) EXPECT_TRUE(filled.index.remove(order[i]));
      }
      EXPECT_GT(searches, 0u);
      EXPECT_LE(missed, searches / 100 + 2);
      EXPECT_EQ(phantoms, 0u);

      auto fresh = DenseIndex::create(16).value();
      for (std::uint32_t i = 0; i < kAll; ++i) {
        if (place[i] < kAll - left) {
          filled.vectors.erase(i);
        } else {
          ASSERT_TRUE(fresh.put(i, filled.vectors[i]).has_value());
        }
      }
      const auto queries = make_queries(filled.source, 50);
      EXPECT_GE(recall(filled.index, filled.vectors, queries), recall(fresh, filled.vectors, queries) - 0.01);
      EXPECT_LE(filled.index.memory_bytes(), fresh.memory_bytes() * 13 / 10);
      EXPECT_LE(filled.index.memory_bytes(), before / 2);
      EXPECT_LE(filled.index.snapshot_bytes(), fresh.snapshot_bytes() * 13 / 10);

      // It grows again.
      for (std::uint32_t i = 0; i < 3000; ++i) filled.put(order[i], filled.source.next());
      EXPECT_EQ(filled.index.size(), left + 3000);
      EXPECT_GE(recall(filled.index, filled.vectors, queries), 0.97);
    }
}

// Those who write at the same time leave what they wrote, and no more.
TEST(DenseIndex, WritesBesideTheGivingBackOfMemory) {
  constexpr std::uint32_t kAll = 9000, kThreads = 3;
  for (unsigned round = 0; round < 3; ++round) {
    Filled filled(kAll, VectorMetric::kCosine, 16);
    const std::size_t before = filled.index.memory_bytes();
    for (std::uint32_t slot = 3000; slot < kAll; ++slot) filled.remove(slot);
    std::vector<VectorsBySlot> written(kThreads);
    std::vector<std::jthread> threads;
    for (std::uint32_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        TestVectors source(16, round * kThreads + thread);
        std::mt19937 random(round * kThreads + thread);
        VectorsBySlot& mine = written[thread];
        for (auto i = 0; i < 500; ++i) {
          const std::uint32_t slot = random() % 1200 * kThreads + thread;
          if (random() % 2 == 0) {
            EXPECT_EQ(filled.index.remove(slot), mine.contains(slot) ? !mine[slot].empty() : slot < 3000);
            mine[slot].clear();
          } else {
            mine[slot] = source.next();
            EXPECT_TRUE(filled.index.put(slot, mine[slot]).has_value());
          }
        }
      });
    threads.clear();
    EXPECT_LT(filled.index.memory_bytes(), before);
    for (const VectorsBySlot& mine : written)
      for (const auto& [slot, vector] : mine) {
        filled.vectors.erase(slot);
        if (!vector.empty()) filled.vectors[slot] = vector;
      }
    EXPECT_EQ(filled.index.size(), filled.vectors.size());
    const auto hits = filled.index.search(filled.source.next(), kAll, kAll).value();
    EXPECT_EQ(hits.size(), filled.vectors.size());
    for (const DenseHit& hit : hits) EXPECT_TRUE(filled.vectors.contains(hit.slot));
    for (const auto& [slot, vector] : filled.vectors) {
      auto nearest = filled.index.search(vector, 1).value();
      ASSERT_EQ(nearest.size(), 1u);
      if (nearest[0].score < 0.999F) nearest = filled.index.search(vector, 1, kAll).value();  // a walk may pass one by
      EXPECT_NEAR(nearest[0].score, 1, 1e-3) << slot;
    }
  }
}

// What is removed is gone, also when others make the graph of the index, or give it up, at that moment.
TEST(DenseIndex, RemovesBesideTheMakingOfAGraph) {
  for (unsigned round = 0; round < 40; ++round) {
    const bool grows = round % 4 != 0;
    const auto kept = static_cast<std::uint32_t>(DenseIndex::kGraphFrom - (grows ? 10 : 0)), gone = grows ? 100 : kept - 100, come = grows ? 300u : 0u;
    TestVectors source(4, round);
    auto index = DenseIndex::create(4).value();
    for (std::uint32_t slot = 0; slot < kept; ++slot) ASSERT_TRUE(index.put(slot, source.next()).has_value());
    std::latch begin(grows ? 3 : 2);
    std::vector<std::jthread> threads;
    for (std::uint32_t thread = 0; grows && thread < 2; ++thread)
      threads.emplace_back([&, thread] {
        TestVectors more(4, round + 100 + thread);
        begin.arrive_and_wait();
        for (std::uint32_t slot = kept + thread; slot < kept + come; slot += 2) EXPECT_TRUE(index.put(slot, more.next()).has_value());
      });
    const std::uint32_t removers = grows ? 1 : 2;
    for (std::uint32_t thread = 0; thread < removers; ++thread)
      threads.emplace_back([&, thread] {
        begin.arrive_and_wait();
        for (std::uint32_t slot = thread; slot < gone; slot += removers) EXPECT_TRUE(index.remove(slot));
      });
    threads.clear();
    EXPECT_EQ(index.size(), kept + come - gone);
    const auto hits = index.search(source.next(), 5000, 5000).value();
    for (const DenseHit& hit : hits) EXPECT_GE(hit.slot, gone);
  }
}

TEST(DenseIndex, WritersOfOneSlotLeaveOneVector) {
  auto index = DenseIndex::create(4).value();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 3; ++t)
    threads.emplace_back([&, t] {
      TestVectors source(4, static_cast<unsigned>(t));
      for (int i = 0; i < 2000; ++i) {
        EXPECT_TRUE(index.put(static_cast<std::uint32_t>(i % 5), source.next()).has_value());
        if (i % 7 == 0) index.remove(static_cast<std::uint32_t>(i % 5));
      }
    });
  threads.clear();
  EXPECT_EQ(index.search(std::vector<float>{1, 0, 0, 0}, 100).value().size(), index.size());
  EXPECT_LE(index.size(), 5u);
}

}  // namespace
}  // namespace stoa::data
