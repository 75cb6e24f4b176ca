#include <cstring>
#include <random>
#include <utility>

#include <gtest/gtest.h>

#include "data/index/index.h"

namespace stoa::data {
namespace {

const std::vector<std::string> kCollection{"vs_1"};
const Principal kAnn{"user_1", "tenant_1", "proj_a", "ann", {"eng"}, "viewer"};

class BytesSource : public SnapshotSource {
 public:
  explicit BytesSource(ByteSpan bytes) : rest_(bytes) {}
  Result<ByteSpan> take(std::size_t count) override {
    if (count > rest_.size()) return fail(ErrorCode::kDataLoss, "the end");
    return std::exchange(rest_, rest_.subspan(count)).first(count);
  }
  std::uint64_t left() const override { return rest_.size(); }

 private:
  ByteSpan rest_;
};

Bytes saved(const Index& index) {
  Bytes bytes;
  EXPECT_TRUE(index.save("vs_1", [&](ByteSpan piece) -> Status {
    bytes.insert(bytes.end(), piece.begin(), piece.end());
    return {};
  }));
  return bytes;
}

Status load(Index& index, ByteSpan bytes) {
  BytesSource source(bytes);
  return index.load("vs_1", source);
}

class Corpus {
 public:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  std::vector<float> vector() {
    std::vector<float> v(8);
    for (float& x : v) x = static_cast<float>(below(200) - 100) + 0.5F;
    return v;
  }
  IndexedDocument document(int number) {
    static const std::vector<std::string> words{"tax", "form", "leave", "policy", "room", "coffee"}, lists{"public", "user:ann", "user:bob", "group:eng"};
    IndexedDocument made{"d" + std::to_string(number), *AccessList::parse(lists[static_cast<std::size_t>(below(4))]),
                         {{"n", static_cast<double>(below(3))}, {"lang", std::string(below(2) == 0 ? "en" : "de")}, {"draft", below(2) == 0}}, {}, "user_" + std::to_string(below(owners))};
    for (int c = 1 + below(3); c > 0; --c) {
      std::string text;
      for (int w = 1 + below(8); w > 0; --w) text += words[static_cast<std::size_t>(below(6))] + " ";
      made.chunks.push_back({++key_, text, number % 7 == 0 ? std::vector<float>() : vector()});
    }
    return made;
  }

  int owners = 2;

 private:
  std::mt19937 random_{5};
  ChunkKey key_ = 0;
};

// How many segments it has.
std::uint64_t segments_of(ByteSpan snapshot) {
  std::uint64_t number = 0;
  std::memcpy(&number, snapshot.data() + 16, sizeof number);  // the length of what makes words
  std::memcpy(&number, snapshot.data() + 24 + number, sizeof number);
  return number;
}

void expect_same(const Index& a, const Index& b, Corpus& corpus) {
  const Filter filter{FilterOp::kEq, "lang", {std::string("de")}, {}};
  for (const Filter* narrowed : {static_cast<const Filter*>(nullptr), &filter}) {
    const Index::Scope scope{kAnn, kCollection, narrowed, 20};
    const auto vector = corpus.vector();
    for (const auto& [x, y] : {std::pair{*a.search_text(scope, "tax room"), *b.search_text(scope, "tax room")}, {*a.search_vector(scope, vector), *b.search_vector(scope, vector)}}) {
      ASSERT_EQ(x.size(), y.size());
      EXPECT_FALSE(x.empty());
      for (std::size_t i = 0; i < x.size(); ++i) EXPECT_EQ(std::pair(x[i].key, x[i].score), std::pair(y[i].key, y[i].score));
    }
  }
}

class SnapshotGroups : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(FewGroupsAndMoreThanSegments, SnapshotGroups, ::testing::Values(2, 100));

TEST_P(SnapshotGroups, BringEverythingBack) {
  Corpus corpus;
  corpus.owners = GetParam();
  Index index(50);
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(index.put("vs_1", corpus.document(corpus.below(120))));
    if (i % 9 == 0) index.remove("vs_1", "d" + std::to_string(corpus.below(120)));
  }
  EXPECT_GT(index.collections().at(0).changes, 300u);
  const Bytes bytes = saved(index);
  EXPECT_EQ(index.collections().at(0).changes, 0u);
  EXPECT_EQ(segments_of(bytes) > 34, GetParam() == 100) << "no more groups come to a shared segment of so many words";

  Index again;
  EXPECT_EQ(load(again, bytes).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(again.add_collection("vs_1", "proj_a"));
  const Status loaded = load(again, bytes);
  ASSERT_TRUE(loaded) << loaded.error().message;
  expect_same(index, again, corpus);
  EXPECT_EQ(again.collections().at(0).passages, index.collections().at(0).passages);
  const auto documents = index.documents("vs_1"), known = again.documents("vs_1");
  ASSERT_EQ(known.size(), documents.size());
  for (const auto& [id, state] : documents) {
    EXPECT_EQ(known.at(id).first, state.first);
    EXPECT_EQ(known.at(id).chunks, state.chunks);
    EXPECT_EQ(known.at(id).access, state.access);
    EXPECT_EQ(known.at(id).attributes, state.attributes);
    EXPECT_EQ(known.at(id).owner, state.owner);
  }
  // It lives on: slots that were free are used again, documents replaced and removed.
  for (int i = 0; i < 100; ++i) {
    const IndexedDocument next = corpus.document(corpus.below(140));
    ASSERT_TRUE(again.put("vs_1", next));
    ASSERT_TRUE(index.put("vs_1", next));
    const std::string gone = "d" + std::to_string(corpus.below(140));
    again.remove("vs_1", gone);
    index.remove("vs_1", gone);
  }
  expect_same(index, again, corpus);

  Index german;
  ASSERT_TRUE(german.add_collection("vs_1", "proj_a", "german"));
  EXPECT_EQ(load(german, bytes).error().code, ErrorCode::kUnsupported);
}

TEST(IndexSnapshot, IsSavedWhenTheSinkTookItsEnd) {
  Corpus corpus;
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(index.put("vs_1", corpus.document(1)));
  const auto changes = index.collections().at(0).changes;
  for (const bool at_the_end : {false, true}) {
    EXPECT_FALSE(index.save("vs_1", [&](ByteSpan piece) { return piece.empty() == at_the_end ? Status(fail(ErrorCode::kUnavailable, "no")) : Status(); }));
    EXPECT_EQ(index.collections().at(0).changes, changes);
  }
  std::uint64_t since = 0;
  EXPECT_TRUE(index.save("vs_1", [&](ByteSpan piece) -> Status {
    if (!piece.empty()) return {};
    EXPECT_TRUE(index.put("vs_1", corpus.document(2))) << "writers do not wait any more";
    since = index.collections().at(0).changes - changes;
    return {};
  }));
  EXPECT_EQ(index.collections().at(0).changes, since);
  const auto gone = index.save("vs_1", [&](ByteSpan piece) -> Status {
    if (piece.empty()) index.remove_collection("vs_1");
    return {};
  });
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
}

TEST_P(SnapshotGroups, WhatIsNoneChangesNothing) {
  Corpus corpus;
  corpus.owners = GetParam();
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  for (int i = 0; i < 20 * GetParam() / 2; ++i) ASSERT_TRUE(index.put("vs_1", corpus.document(i)));
  const Bytes good = saved(index);
  Index other;
  ASSERT_TRUE(other.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(other.put("vs_1", {"kept", *AccessList::parse("public"), {}, {{1, "kept", {}}}}));
  const auto kept = [&] { return other.search_text({kAnn, kCollection}, "kept")->size() == 1; };
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 20) {
    const auto loaded = load(other, ByteSpan(good).first(size));
    ASSERT_FALSE(loaded) << size;
    EXPECT_EQ(loaded.error().code, ErrorCode::kDataLoss);
    ASSERT_TRUE(kept());
  }
  // Any change is an error or another index, and neither breaks anything.
  std::mt19937 random(2);
  for (int i = 0; i < 3000; ++i) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 << random() % 8);
    Index target;
    ASSERT_TRUE(target.add_collection("vs_1", "proj_a"));
    if (!load(target, bad)) continue;
    const Index::Scope scope{kAnn, kCollection};
    (void)target.search_text(scope, "tax room");
    (void)target.search_vector(scope, corpus.vector());
    for (int d = 0; d < 20; ++d) target.remove("vs_1", "d" + std::to_string(d));
  }
}

}  // namespace
}  // namespace stoa::data
