#include "data/index/sparse/sparse_index.h"

#include <algorithm>
#include <array>
#include <map>
#include <random>

#include <gtest/gtest.h>

#include "data/index/sparse/test_reseal.h"

namespace stoa::data {
namespace {

AnalysedText passage(std::initializer_list<std::string_view> words) {
  AnalysedText text;
  std::uint32_t position = 0;
  for (const auto word : words) text.add(word, position++);
  return text;
}

using Words = std::vector<std::pair<std::uint32_t, std::string>>;  // position, term
Words words_of(const AnalysedText& text) {
  Words words;
  for (const auto& token : text.tokens) words.emplace_back(token.position, text.term(token));
  std::ranges::sort(words);
  return words;
}

TEST(BitPacking, UnpacksWhatWasPacked) {
  std::mt19937 random(3);
  for (unsigned bits = 0; bits <= 32; ++bits) {
    std::array<std::uint32_t, kBlockSize> values, back, sums;
    for (auto& value : values) value = bits == 0 ? 0 : static_cast<std::uint32_t>(random()) >> (32 - bits);
    values[random() % kBlockSize] = bits == 0 ? 0 : 0xFFFFFFFF >> (32 - bits);
    ASSERT_EQ(bits_needed(values.data()), bits);
    std::vector<std::uint8_t> packed(packed_size(bits));
    pack(values.data(), bits, packed.data());
    unpack(packed.data(), bits, back.data());
    EXPECT_EQ(back, values);
    unpack_ascending(packed.data(), bits, 7, sums.data());
    std::uint32_t sum = 7;
    for (std::size_t i = 0; i < kBlockSize; ++i) ASSERT_EQ(sums[i], sum += values[i] + 1) << bits << " " << i;
  }
}

TEST(TermDictionary, AddsFindsRemovesAndKeepsOrder) {
  std::mt19937 random(4);
  TermDictionary dictionary;
  std::map<std::string, std::uint32_t> twin;
  for (int round = 0; round < 20'000; ++round) {
    std::string name;
    for (int i = static_cast<int>(random() % 6); i >= 0; --i) name += static_cast<char>('a' + random() % 5);
    if (random() % 3 != 0) {
      const std::uint32_t term = dictionary.add(name);
      ASSERT_TRUE(!twin.contains(name) || twin[name] == term);
      twin[name] = term;
    } else if (const auto found = twin.find(name); found != twin.end()) {
      dictionary.remove(found->second);
      twin.erase(found);
    }
    if (round % 5000 == 0) dictionary.shrink();
  }
  std::vector<std::string> all;
  dictionary.with_prefix("", [&](std::uint32_t term) {
    all.emplace_back(dictionary.name(term));
    return true;
  });
  ASSERT_EQ(all.size(), twin.size());
  auto expected = twin.begin();
  for (const auto& name : all) {
    ASSERT_EQ(name, expected->first);
    ASSERT_EQ(dictionary.find(name), (expected++)->second);
  }
  EXPECT_EQ(dictionary.find("zzz"), kNoTerm);
  EXPECT_LE(dictionary.size(), 20'000u);
}

int plain_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<int>> rows(a.size() + 1, std::vector<int>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        rows[i][j] = static_cast<int>(i + j);
        continue;
      }
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.size()][b.size()];
}

TEST(TermDictionary, NearSpellingsAreThoseOfEveryPairCompared) {
  std::mt19937 random(6);
  const auto word = [&] {
    std::string name;
    for (int i = static_cast<int>(random() % 8); i >= 0; --i) name += static_cast<char>('a' + random() % 4);
    return name;
  };
  TermDictionary dictionary;
  for (int i = 0; i < 3000; ++i) dictionary.add(word());
  for (int i = 0; i < 200; ++i) {
    const std::string goal = word();
    const int most = 1 + i % 2;
    std::map<std::string, int> found, expected;
    dictionary.within_distance(goal, most, [&](std::uint32_t term, int distance) {
      found[std::string(dictionary.name(term))] = distance;
      return true;
    });
    dictionary.with_prefix("", [&](std::uint32_t term) {
      const std::string name(dictionary.name(term));
      if (const int distance = plain_distance(goal, name); distance <= most) expected[name] = distance;
      return true;
    });
    ASSERT_EQ(found, expected) << goal;
  }
  dictionary.add("\u00e9t\u00e9");
  int distance = 0;
  dictionary.within_distance("ete", 2, [&](std::uint32_t term, int d) {
    distance = dictionary.name(term) == "\u00e9t\u00e9" ? d : distance;
    return true;
  });
  EXPECT_EQ(distance, 2);  // characters, not bytes
  dictionary.within_distance(std::string(200, 'a'), 2, [&](std::uint32_t, int) {
    ADD_FAILURE();
    return true;
  });
}

TEST(SparseIndex, StatisticsAreThoseOfWhatLives) {
  SparseIndex index;
  ASSERT_TRUE(index.put(3, passage({"cat", "mat", "cat"})));
  ASSERT_TRUE(index.put(9, passage({"cat"})));
  ASSERT_TRUE(index.put(1, passage({})));
  EXPECT_EQ(index.passages(), 3u);
  EXPECT_EQ(index.words(), 4u);
  EXPECT_EQ(index.passages_with("cat"), 2u);
  ASSERT_TRUE(index.put(3, passage({"dog"})));  // in place of what was there
  EXPECT_EQ(index.passages_with("cat"), 1u);
  EXPECT_EQ(index.passages_with("mat"), 0u);
  EXPECT_EQ(index.words(), 2u);
  index.remove(77);
  index.remove(9);
  EXPECT_FALSE(index.contains(9));
  EXPECT_EQ(index.passages_with("cat"), 0u);
  EXPECT_EQ(words_of(index.extract(3)), (Words{{0, "dog"}}));
  EXPECT_TRUE(index.extract(9).tokens.empty());
  index.remove(1);
  index.remove(3);
  EXPECT_EQ(index.passages(), 0u);
  EXPECT_LT(index.memory_bytes(), 1000u);
}

TEST(SparseIndex, RefusesWhatItCannotHold) {
  SparseIndex index;
  EXPECT_EQ(index.put(SparseIndex::kMaxSlot + 1, passage({"a"})).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(index.put(0, passage({""})).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(index.put(0, passage({std::string(256, 'x')})).error().code, ErrorCode::kInvalidArgument);
  AnalysedText text;
  text.add("a", 5);
  text.add("b", 4);
  EXPECT_EQ(index.put(0, text).error().code, ErrorCode::kInvalidArgument);
  text.clear();
  text.add("a", SparseIndex::kMaxPassageWords + 1);
  EXPECT_EQ(index.put(0, text).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(index.passages(), 0u);
  EXPECT_TRUE(index.put(0, passage({std::string(255, 'x')})));
}

TEST(SparseIndex, TenPassagesTakeKilobytes) {
  Analyzer analyzer;
  SparseIndex index;
  AnalysedText text;
  std::mt19937 random(1);
  for (std::uint32_t slot = 0; slot < 10; ++slot) {
    std::string words;
    for (int i = 0; i < 100; ++i) words += "word" + std::to_string(random() % 1000) + " ";
    analyzer.analyse(words, Analyzer::Purpose::kPassage, text);
    ASSERT_TRUE(index.put(slot, text));
  }
  EXPECT_LT(index.memory_bytes(), 100'000u);
}

// Random puts, replacements and removals beside a map of what should be there; through compactions and snapshots of every state.
class Churn {
 public:
  explicit Churn(unsigned seed) : random_(seed) {}
  SparseIndex index;
  std::map<std::uint32_t, Words> twin;

  void step(std::uint32_t slots) {
    const auto slot = static_cast<std::uint32_t>(random_() % slots);
    if (random_() % 3 == 0) {
      index.remove(slot);
      twin.erase(slot);
      return;
    }
    AnalysedText text;
    std::uint32_t position = 0;
    for (int i = static_cast<int>(random_() % 30); i > 0; --i) {
      // Few words often, many seldom.
      const auto word = random_() % (1 + random_() % (1 + random_() % 2000));
      text.add("w" + std::to_string(word), position);
      position += random_() % 4;
    }
    ASSERT_TRUE(index.put(slot, text));
    twin[slot] = words_of(text);
  }
  void check() const {
    std::map<std::string, std::uint32_t> with;
    std::uint64_t words = 0;
    for (const auto& [slot, expected] : twin) {
      ASSERT_EQ(words_of(index.extract(slot)), expected) << slot;
      words += expected.size();
      std::map<std::string, int> terms;
      for (const auto& [position, term] : expected) ++terms[term];
      for (const auto& [term, n] : terms) ++with[term];
    }
    ASSERT_EQ(index.passages(), twin.size());
    ASSERT_EQ(index.words(), words);
    for (int i = 0; i < 2000; ++i) {
      const std::string term = "w" + std::to_string(i);
      ASSERT_EQ(index.passages_with(term), with.contains(term) ? with[term] : 0) << term;
    }
  }

 private:
  std::mt19937 random_;
};

TEST(SparseIndex, ChurnLeavesWhatLives) {
  Churn churn(11);
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 900; ++i) churn.step(600);
    churn.check();
    auto copy = SparseIndex::load(churn.index.save(), 1 + round % 3);
    ASSERT_TRUE(copy) << copy.error().message;
    Churn loaded(static_cast<unsigned>(round));
    loaded.index = std::move(*copy);
    loaded.twin = churn.twin;
    loaded.check();
    for (int i = 0; i < 300; ++i) loaded.step(700);
    loaded.check();
    if (round % 4 == 3) churn.index = std::move(loaded.index), churn.twin = loaded.twin;
  }
}

TEST(SparseIndex, CompactionInSmallStepsAtAnyMoment) {
  Churn churn(12);
  for (int i = 0; i < 3000; ++i) churn.step(1000);
  int steps = 0;
  for (int i = 0; i < 4000; ++i) {
    churn.step(1000);
    if (churn.index.compact(1 + static_cast<std::size_t>(i) % 50)) ++steps;
    if (i % 400 == 0) churn.check();
    ASSERT_TRUE(i % 800 != 0 || SparseIndex::load(churn.index.save()));
  }
  EXPECT_GT(steps, 10);
}

TEST(SparseIndex, GivesMemoryBack) {
  SparseIndex index;
  std::mt19937 random(2);
  const auto fill = [&](std::uint32_t slot, int round) {
    AnalysedText text;
    for (std::uint32_t i = 0; i < 50; ++i) text.add((random() % 2 ? "common" : "r" + std::to_string(round) + "_") + std::to_string(random() % 500), i);
    ASSERT_TRUE(index.put(slot, text));
  };
  for (std::uint32_t slot = 0; slot < 4000; ++slot) fill(slot, 0);
  const std::size_t before = index.memory_bytes();
  for (int round = 1; round <= 10; ++round) {
    for (std::uint32_t slot = 0; slot < 4000; ++slot) fill(slot, round);  // words of earlier rounds are gone
  }
  EXPECT_LT(index.memory_bytes(), before * 17 / 10);
  for (std::uint32_t slot = 100; slot < 4000; ++slot) index.remove(slot);
  while (index.compact(100'000)) {
  }
  EXPECT_LT(index.memory_bytes(), before / 4);
}

TEST(SparseSnapshot, BrokenBytesAreErrors) {
  Churn churn(13);
  for (int i = 0; i < 800; ++i) churn.step(300);
  const std::string good = churn.index.save();
  ASSERT_TRUE(SparseIndex::load(good));
  EXPECT_EQ(SparseIndex::load("").error().code, ErrorCode::kDataLoss);
  EXPECT_EQ(SparseIndex::load(good.substr(0, good.size() / 2)).error().code, ErrorCode::kDataLoss);
  std::string newer = good;
  newer[8] = 3;
  EXPECT_EQ(SparseIndex::load(newer).error().code, ErrorCode::kUnsupported);
  std::mt19937 random(14);
  for (int i = 0; i < 1000; ++i) {
    std::string bad = good;
    bad[9 + random() % (bad.size() - 17)] ^= static_cast<char>(1 << random() % 8);
    ASSERT_FALSE(SparseIndex::load(bad));
    // With the right checksum it is another index, or an error; neither may break anything.
    if (auto loaded = SparseIndex::load(resealed(bad))) {
      for (std::uint32_t slot = 0; slot < 300; slot += 7) loaded->extract(slot), loaded->remove(slot);
    }
  }
}

TEST(SparseSnapshot, OfNothing) {
  auto loaded = SparseIndex::load(SparseIndex().save());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->passages(), 0u);
}

}  // namespace
}  // namespace stoa::data
