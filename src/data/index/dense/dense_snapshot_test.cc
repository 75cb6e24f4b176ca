#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "data/index/dense/test_reseal.h"
#include "data/index/dense/test_vectors.h"

namespace stoa::data {
namespace {

Bytes saved(const DenseIndex& index) {
  Bytes bytes;
  EXPECT_TRUE(index.save([&](ByteSpan piece) {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return Status();
  }).has_value());
  EXPECT_EQ(bytes.size(), index.snapshot_bytes());
  return bytes;
}

DenseIndex make(std::uint32_t count, TestVectors& source, int dimensions, VectorMetric metric) {
  auto index = DenseIndex::create(dimensions, metric).value();
  for (std::uint32_t slot = 0; slot < count; ++slot) EXPECT_TRUE(index.put(slot, source.next()).has_value());
  return index;
}

void expect_same(const DenseIndex& a, const DenseIndex& b, TestVectors& source) {
  EXPECT_EQ(a.size(), b.size());
  EXPECT_EQ(a.metric(), b.metric());
  for (int i = 0; i < 20; ++i) {
    const auto query = source.next();
    const auto left = a.search(query, 10).value(), right = b.search(query, 10).value();
    ASSERT_EQ(left.size(), right.size());
    for (std::size_t h = 0; h < left.size(); ++h) {
      EXPECT_EQ(left[h].slot, right[h].slot);
      EXPECT_EQ(left[h].score, right[h].score);
    }
  }
}

TEST(DenseSnapshot, OpensToWhatWasSaved) {
  // With 4500 the graph is being made.
  constexpr struct {
    VectorMetric metric;
    std::uint32_t count;
    int dimensions;
  } kCases[] = {{VectorMetric::kCosine, 0, 20},  {VectorMetric::kDot, 1, 20},       {VectorMetric::kL2, 100, 192},
                {VectorMetric::kDot, 4500, 192}, {VectorMetric::kCosine, 7000, 20}, {VectorMetric::kDot, 7000, 192}};
  for (const auto& [metric, count, dimensions] : kCases) {
    SCOPED_TRACE(testing::Message() << count);
    TestVectors source(dimensions);
    auto index = make(count, source, dimensions, metric);
    for (std::uint32_t slot = 0; slot < count; slot += 13) index.remove(slot);
    auto opened = DenseIndex::load(saved(index), count > 5000 ? 3 : 1);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    expect_same(index, *opened, source);
    // It can be written to like the first, long enough that nodes are given back.
    for (std::uint32_t slot = 0; slot < count; slot += 2) {
      const auto vector = source.next();
      EXPECT_TRUE(index.put(slot, vector).has_value());
      EXPECT_TRUE(opened->put(slot, vector).has_value());
    }
    EXPECT_EQ(index.size(), opened->size());
    const auto again = DenseIndex::load(saved(*opened));
    ASSERT_TRUE(again.has_value()) << again.error().message;
    expect_same(*opened, *again, source);
  }
}

TEST(DenseSnapshot, OpensWhatIsAboutToGiveMemoryBack) {
  TestVectors source(20);
  auto index = make(9000, source, 20, VectorMetric::kCosine);
  const std::size_t whole = index.snapshot_bytes();
  for (std::uint32_t slot = 2990; slot < 9000; ++slot) index.remove(slot);
  auto opened = DenseIndex::load(saved(index));
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  expect_same(index, *opened, source);
  EXPECT_GT(opened->snapshot_bytes(), whole * 9 / 10);
  for (std::uint32_t slot = 0; slot < 300; ++slot) EXPECT_TRUE(opened->remove(slot));
  EXPECT_EQ(opened->size(), 2690u);
  EXPECT_LT(opened->snapshot_bytes(), whole * 4 / 10);
}

TEST(DenseSnapshot, WhatIsCutOrChangedIsRefused) {
  constexpr std::uint32_t kSizes[] = {0, 20, 7000};
  for (const std::uint32_t count : kSizes) {
    TestVectors source(4);
    const Bytes whole = saved(make(count, source, 4, VectorMetric::kCosine));
    const std::size_t step = whole.size() / 200 + 1;
    for (std::size_t size = 0; size < whole.size(); size += step) {
      const auto cut = DenseIndex::load(ByteSpan(whole).first(size));
      ASSERT_FALSE(cut.has_value());
      EXPECT_EQ(cut.error().code, ErrorCode::kDataLoss);
      EXPECT_FALSE(cut.error().hint.empty());
    }
    for (std::size_t at = 0; at < whole.size(); at += step) {
      Bytes changed = whole;
      changed[at] ^= std::byte{0x10};
      EXPECT_FALSE(DenseIndex::load(changed).has_value()) << at;
    }
    Bytes longer = whole;
    longer.push_back({});
    EXPECT_FALSE(DenseIndex::load(longer).has_value());
  }
}

TEST(DenseSnapshot, NumbersOutOfTheirRangeAreRefused) {
  TestVectors source(4);
  const Bytes whole = saved(make(9000, source, 4, VectorMetric::kL2));
  SnapshotHeader header;
  std::memcpy(&header, whole.data(), sizeof header);
  const SnapshotLayout at = layout(header);
  const std::size_t piece = at.piece(0), links = piece + at.piece_nodes * at.record_bytes;
  const float none = std::numeric_limits<float>::quiet_NaN();
  std::uint32_t not_a_number, slot;
  std::memcpy(&not_a_number, &none, sizeof none);
  std::memcpy(&slot, whole.data() + piece + at.record_bytes + 12, sizeof slot);
  const struct {
    const char* what;
    std::size_t at;
    std::uint32_t value;
  } cases[] = {
      {"dimensions", 16, 0xFFFFFFFF}, {"nodes", 28, 0xFFFFFFF0}, {"nodes", 28, 0},     {"upper lists", 32, 0x7FFFFFFF},    {"entry", 36, 9000},
      {"backlog", 40, 9001},          {"mean", 48, not_a_number}, {"low", piece, not_a_number}, {"step", piece + 4, 0xBF800000}, {"two nodes of a slot", piece + 12, slot},
      {"slot", piece + 12, 1u << 28}, {"link", links, 9000},      {"upper node", at.uppers, 9000}, {"level", at.uppers + 4, 16}, {"upper link", at.uppers + 8, 9000},
  };
  for (const auto& hostile : cases) {
    Bytes changed = whole;
    std::memcpy(changed.data() + hostile.at, &hostile.value, sizeof hostile.value);
    reseal(changed);
    const auto opened = DenseIndex::load(changed);
    ASSERT_FALSE(opened.has_value()) << hostile.what;
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss) << hostile.what;
  }
}

TEST(DenseSnapshot, LooksOutOfTheirRangeAreRefused) {
  constexpr int kDimensions = 192;
  TestVectors source(kDimensions);
  Bytes bytes = saved(make(DenseIndex::kGraphFrom, source, kDimensions, VectorMetric::kL2));
  SnapshotHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  const SnapshotLayout at = layout(header);
  ASSERT_EQ(at.look_bytes, 64u);
  const std::size_t looks = at.piece(0) + at.piece_nodes * at.record_bytes;
  for (const std::size_t field : {offsetof(LookHead, scale), offsetof(LookHead, bias), offsetof(LookHead, error)}) {
    Bytes changed = bytes;
    const float none = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(changed.data() + looks + at.look_bytes + field, &none, sizeof none);
    reseal(changed);
    const auto opened = DenseIndex::load(changed);
    ASSERT_FALSE(opened.has_value()) << field;
    EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss) << field;
  }
  reseal(bytes);
  EXPECT_TRUE(DenseIndex::load(bytes).has_value());
}

TEST(DenseSnapshot, AnotherVersionIsSaidToBeOne) {
  Bytes bytes = saved(DenseIndex::create(4).value());
  bytes[8] = std::byte{1};
  const auto other = DenseIndex::load(bytes);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().code, ErrorCode::kUnsupported);
  EXPECT_NE(other.error().message.find("version 1"), std::string::npos);
}

TEST(DenseSnapshot, AnErrorOfTheSinkIsTheCallers) {
  TestVectors source(4);
  const auto index = make(20, source, 4, VectorMetric::kL2);
  const auto status = index.save([](ByteSpan) { return Status(fail(ErrorCode::kResourceExhausted, "the disk is full")); });
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().message, "the disk is full");
}

}  // namespace
}  // namespace stoa::data
