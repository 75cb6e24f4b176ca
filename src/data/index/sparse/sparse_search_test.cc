#include "data/index/sparse/sparse_search.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <tuple>

#include <gtest/gtest.h>

#include "data/index/sparse/query_syntax.h"

namespace stoa::data {
namespace {

using Passage = std::vector<std::string>;  // a term for each position

AnalysedText text_of(const Passage& words) {
  AnalysedText text;
  std::uint32_t position = 0;
  for (const auto& word : words) text.add(word, position++);
  return text;
}

// The plain twin: passages as lists of words, every one of them scored by what sparse_search.h says, without any index.
class Twin {
 public:
  std::vector<std::map<std::uint32_t, Passage>> segments;

  std::vector<SparseHit> search(const SparseQuery& query, SparseOptions options, std::size_t k, const std::vector<SparseScope>& scopes) {
    options_ = options;
    passages_ = words_ = 0;
    with_.clear();
    expansions_.clear();
    for (const auto& segment : segments) {
      for (const auto& [slot, words] : segment) ++passages_, words_ += static_cast<double>(words.size());
    }
    std::vector<SparseHit> hits;
    for (std::size_t s = 0; s < segments.size(); ++s) {
      for (const auto& [slot, words] : segments[s]) {
        double score = 0;
        const auto* allowed = scopes[s].allowed;
        if (allowed != nullptr && (slot / 64 >= allowed->size() || ((*allowed)[slot / 64] >> slot % 64 & 1) == 0)) continue;
        if (match(query, 1, words, score)) hits.push_back({score, slot < scopes[s].keys.size() ? scopes[s].keys[slot] : slot, scopes[s].segment, slot});
      }
    }
    std::ranges::sort(hits, [](const SparseHit& a, const SparseHit& b) { return a.score != b.score ? a.score > b.score : a.key < b.key; });
    hits.resize(std::min(k, hits.size()));
    return hits;
  }

 private:
  double passages_with(const std::string& term) {
    const auto [known, is_new] = with_.try_emplace(term, 0);
    if (!is_new) return known->second;
    for (const auto& segment : segments) {
      for (const auto& [slot, words] : segment) known->second += std::ranges::find(words, term) != words.end();
    }
    return known->second;
  }
  double idf(double with) const { return std::log(1 + (passages_ - with + 0.5) / (with + 0.5)); }
  void add(double weight, double tf, const Passage& words, double& score) const {
    const double norm = options_.k1 * (1 - options_.b + options_.b * static_cast<double>(words.size()) / (words_ / passages_));
    score += weight * tf * (options_.k1 + 1) / (tf + norm);
  }
  static int distance(const std::string& a, const std::string& b) {
    std::vector<std::vector<int>> rows(a.size() + 1, std::vector<int>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) {
      for (std::size_t j = 0; j <= b.size(); ++j) {
        rows[i][j] = i == 0 || j == 0 ? static_cast<int>(i + j) : std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
        if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
    return rows[a.size()][b.size()];
  }
  // At most 64: the nearest, then those that most passages have.
  const std::set<std::string>& expansion(const SparseQuery& query) {
    const auto [known, is_new] = expansions_.try_emplace(&query);
    auto& terms = known->second;
    if (!is_new) return terms;
    std::set<std::tuple<int, double, std::string>> order;
    for (const auto& segment : segments) {
      for (const auto& [slot, words] : segment) {
        for (const auto& word : words) {
          const bool is_prefix = query.kind == SparseQuery::Kind::kPrefix;
          const int edits = is_prefix ? 0 : distance(word, query.text);
          if (is_prefix ? word.starts_with(query.text) || word == query.stem : edits <= query.distance) order.emplace(edits, -passages_with(word), word);
        }
      }
    }
    for (const auto& [edits, passages, word] : order) {
      if (terms.size() < 64) terms.insert(word);
    }
    return terms;
  }
  double phrase_frequency(const SparseQuery& query, const Passage& words) const {
    double found = 0;
    for (std::size_t first = 0; first < words.size(); ++first) {
      if (words[first] != query.words[0].term) continue;
      std::size_t place = first;
      bool stands = true;
      for (std::size_t i = 1; stands && i < query.words.size(); ++i) {
        place += query.words[i].place - query.words[i - 1].place;
        while (place < words.size() && words[place] != query.words[i].term) ++place;
        stands = place < words.size();
      }
      found += stands && place - first - query.words.back().place <= query.slop;
    }
    return found;
  }
  bool match(const SparseQuery& query, double boost, const Passage& words, double& score) {
    boost *= query.boost;
    const auto count = [&](const std::string& term) { return static_cast<double>(std::ranges::count(words, term)); };
    switch (query.kind) {
      case SparseQuery::Kind::kTerm: {
        if (count(query.text) == 0) return false;
        add(idf(passages_with(query.text)) * boost, count(query.text), words, score);
        return true;
      }
      case SparseQuery::Kind::kPhrase: {
        const double tf = phrase_frequency(query, words);
        if (tf == 0) return false;
        double sum = 0;
        for (const auto& word : query.words) sum += idf(passages_with(word.term));
        add(sum * boost, tf, words, score);
        return true;
      }
      case SparseQuery::Kind::kBoolean: {
        bool any = false, has_must = false;
        double sum = score;
        for (const auto& clause : query.clauses) {
          double ignored = 0;
          const bool matches = match(clause.query, boost, words, clause.occur == Occur::kMustNot ? ignored : sum);
          has_must |= clause.occur == Occur::kMust;
          if (matches != (clause.occur == Occur::kMust) && clause.occur != Occur::kShould && (matches || clause.occur == Occur::kMust)) return false;
          any |= matches && clause.occur != Occur::kMustNot;
        }
        if (!any && !has_must) return false;
        score = sum;
        return any;
      }
      default: {
        double tf = 0, most = 0;
        for (const auto& term : expansion(query)) tf += count(term), most = std::max(most, passages_with(term));
        if (tf == 0) return false;
        add(idf(most) * boost, tf, words, score);
        return true;
      }
    }
  }

  SparseOptions options_;
  double passages_ = 0, words_ = 0;
  std::map<std::string, double> with_;
  std::map<const SparseQuery*, std::set<std::string>> expansions_;
};

// A random corpus in a few segments, in an index and in its twin.
class Corpus {
 public:
  Corpus(unsigned seed, std::size_t segments, std::uint32_t slots, int vocabulary) : random(seed), indexes(segments), keys(segments), allowed(segments), vocabulary_(vocabulary) {
    twin.segments.resize(segments);
    for (std::size_t s = 0; s < segments; ++s) {
      for (std::uint32_t slot = 0; slot < slots; ++slot) put(s, slot);
      // Many slots are used again, some stay free.
      for (std::uint32_t i = 0; i < slots / 2; ++i) {
        const auto slot = static_cast<std::uint32_t>(random() % slots);
        if (random() % 3 == 0) {
          indexes[s].remove(slot);
          twin.segments[s].erase(slot);
        } else {
          put(s, slot);
        }
      }
      for (std::uint32_t slot = 0; slot < slots; ++slot) keys[s].push_back(static_cast<std::int64_t>((slot * 7919 + s) % 100'003));
    }
  }
  std::string word() { return "w" + std::to_string(random() % (1 + random() % (1 + random() % static_cast<unsigned>(vocabulary_)))); }
  void put(std::size_t s, std::uint32_t slot) {
    Passage words;
    const auto length = random() % 8 == 0 ? random() % 200 : random() % 40;
    for (std::size_t i = 0; i < length; ++i) words.push_back(word());
    ASSERT_TRUE(indexes[s].put(slot, text_of(words)));
    twin.segments[s][slot] = std::move(words);
  }
  SparseQuery query(int depth = 0) {
    SparseQuery query;
    query.boost = random() % 4 == 0 ? 0.5 + static_cast<double>(random() % 6) : 1;
    const auto kind = random() % 10;
    if (depth == 0 || (depth < 3 && kind < 3)) {
      const bool is_bag = depth == 0 && random() % 2 == 0;
      for (int i = static_cast<int>(random() % 8) + 1; i > 0; --i) {
        const auto occur = is_bag || random() % 3 != 0 ? Occur::kShould : random() % 2 ? Occur::kMust : Occur::kMustNot;
        query.clauses.push_back({occur, is_bag ? SparseQuery::term(word(), query.boost) : this->query(depth + 1)});
        if (random() % 4 == 0) query.clauses.push_back(query.clauses[random() % query.clauses.size()]);
      }
      return query;
    }
    query.text = word();
    query.kind = SparseQuery::Kind::kTerm;
    if (kind == 8) query.kind = SparseQuery::Kind::kPrefix, query.stem = word();
    if (kind == 9) query.kind = SparseQuery::Kind::kFuzzy;
    if (kind > 5 && kind < 8) {
      query.kind = SparseQuery::Kind::kPhrase;
      query.slop = static_cast<std::uint32_t>(random() % 3);
      std::uint32_t place = 0;
      for (std::size_t i = 1 + random() % 3; i > 0; --i) {
        query.words.push_back({"w" + std::to_string(random() % 8), place});
        place += 1 + random() % 5 / 4;
      }
    }
    return query;
  }
  // How many hits; both sides equal to the bit. `readable`: what the filter does not let through does not count either.
  std::size_t compare(const SparseQuery& query, SparseOptions options, std::size_t k, int filter, bool readable = false) {
    std::vector<SparseScope> scopes;
    spans.assign(indexes.size(), {});
    for (std::size_t s = 0; s < indexes.size(); ++s) {
      allowed[s].assign(keys[s].size() / 64 + 1, 0);
      for (auto& bits : allowed[s]) {
        for (int bit = 0; bit < 64; ++bit) bits |= static_cast<std::uint64_t>(static_cast<int>(random() % 100) < filter) << bit;
      }
      spans[s] = allowed[s];
      scopes.push_back({static_cast<std::uint32_t>(s), keys[s], filter == 0 ? nullptr : &spans[s]});
    }
    SparseSearch search(query, options, k);
    for (std::size_t s = 0; s < indexes.size(); ++s) search.count(indexes[s], readable ? &spans[s] : nullptr);
    for (std::size_t s = 0; s < indexes.size(); ++s) search.run(indexes[s], scopes[s]);
    const auto found = search.take();
    Twin seen;
    if (readable) seen = twin;
    for (std::size_t s = 0; s < seen.segments.size(); ++s) std::erase_if(seen.segments[s], [&](const auto& entry) { return (spans[s][entry.first / 64] >> entry.first % 64 & 1) == 0; });
    const auto expected = (readable ? seen : twin).search(query, options, k, scopes);
    EXPECT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
      EXPECT_EQ(found[i].score, expected[i].score) << i;
      EXPECT_EQ(found[i].key, expected[i].key) << i;
      EXPECT_EQ(found[i].slot, expected[i].slot);
      EXPECT_EQ(found[i].segment, expected[i].segment);
      EXPECT_LT(found[i].score, search.bound());
    }
    return found.size();
  }

  std::mt19937 random;
  std::vector<SparseIndex> indexes;
  std::vector<std::vector<std::int64_t>> keys;
  std::vector<std::vector<std::uint64_t>> allowed;
  std::vector<std::span<const std::uint64_t>> spans;
  Twin twin;

 private:
  int vocabulary_;
};

TEST(SparseSearch, SameHitsAndScoresAsThePlainTwin) {
  std::size_t hits = 0;
  for (unsigned round = 0; round < 6; ++round) {
    Corpus corpus(round, 1 + round % 3, round < 3 ? 300 : 800, 300);
    for (int i = 0; i < 60; ++i) {
      const SparseQuery query = corpus.query();
      const SparseOptions options{i % 5 == 0 ? 0.9 : 1.2, i % 7 == 0 ? 0.4 : 0.75};
      hits += corpus.compare(query, options, 1 + corpus.random() % (i % 10 == 0 ? 300 : 12), i % 3 == 0 ? static_cast<int>(corpus.random() % 60) : 0);
      if (testing::Test::HasFailure()) FAIL() << "round " << round << " query " << i;
    }
  }
  EXPECT_GT(hits, 2000u);
}

TEST(SparseSearch, WhatIsNotReadableDoesNotCount) {
  std::size_t hits = 0;
  for (unsigned round = 0; round < 4; ++round) {
    Corpus corpus(round + 50, 1 + round % 3, round < 2 ? 300 : 800, 300);
    for (int i = 0; i < 60; ++i) hits += corpus.compare(corpus.query(), {}, 1 + corpus.random() % 20, 3 + i, true);
  }
  EXPECT_GT(hits, 500u);
}

// More terms come before the near spelling than a walk takes steps: whoever may not read them finds it, as if they were not there.
TEST(SparseSearch, WhatIsNotReadableHidesNoNearSpelling) {
  SparseIndex index;
  AnalysedText others;
  std::uint32_t position = 0;
  for (char a = '0'; a < 'z'; ++a)
    for (char b = '0'; b < 'z'; ++b)
      for (char c = 'A'; c < 'Z'; ++c) others.add(std::string{a, b, c}, position++);
  ASSERT_GT(position, 1u << 17);
  ASSERT_TRUE(index.put(0, others));
  ASSERT_TRUE(index.put(1, text_of({"zebra", "other"})));
  SparseQuery query;
  query.kind = SparseQuery::Kind::kFuzzy;
  query.text = "zebar";
  query.distance = 2;
  for (const std::uint64_t readable : {2u, 1u, 3u}) {
    const std::span<const std::uint64_t> bits(&readable, 1);
    SparseSearch search(query, {}, 10);
    search.count(index, &bits);
    search.run(index, {0, {}, &bits});
    EXPECT_EQ(search.take().size(), readable == 2 ? 1u : 0u) << readable;
  }
}

// Long lists: many blocks to pass by.
TEST(SparseSearch, SameHitsAndScoresInALargeSegment) {
  Corpus corpus(77, 2, 6000, 3000);
  std::size_t hits = 0;
  for (int i = 0; i < 25; ++i) {
    SparseQuery query;
    for (int n = 1 + i % 6; n > 0; --n) query.clauses.push_back({Occur::kShould, SparseQuery::term(corpus.word())});
    hits += corpus.compare(query, {}, 10, i % 4 == 0 ? 1 + i : 0);
    if (testing::Test::HasFailure()) FAIL() << "query " << i;
  }
  EXPECT_GT(hits, 100u);
}

TEST(SparseSearch, WhileACompactionRuns) {
  Corpus corpus(5, 1, 1200, 200);
  for (int i = 0; i < 200; ++i) {
    for (int n = 0; n < 5; ++n) {
      const auto slot = static_cast<std::uint32_t>(corpus.random() % 1200);
      if (corpus.random() % 3 != 0) {
        corpus.put(0, slot);
      } else {
        corpus.indexes[0].remove(slot);
        corpus.twin.segments[0].erase(slot);
      }
      corpus.indexes[0].compact(100);
    }
    if (i % 4 == 0) corpus.compare(corpus.query(), {}, 10, 0);
    if (testing::Test::HasFailure()) FAIL() << i;
  }
}

std::vector<std::uint32_t> slots(const SparseIndex& index, const SparseQuery& query, std::size_t k = 10) {
  SparseSearch search(query, {}, k);
  search.count(index);
  search.run(index, {});
  std::vector<std::uint32_t> found;
  for (const auto& hit : search.take()) found.push_back(hit.slot);
  return found;
}

// As IndexTest has it. N = 3, words 2, 3, 4, mean 3. "cat": df 2, idf = ln(1 + 1.5 / 2.5) = 0.470004.
TEST(SparseSearch, AsComputedByHand) {
  SparseIndex index;
  ASSERT_TRUE(index.put(0, text_of({"cat", "mat"})));
  ASSERT_TRUE(index.put(1, text_of({"dog", "log", "frog"})));
  ASSERT_TRUE(index.put(2, text_of({"cat", "cat", "hat", "bat"})));
  SparseQuery query;
  query.clauses.push_back({Occur::kShould, SparseQuery::term("cat")});
  SparseSearch search(query, {}, 10);
  search.count(index);
  search.run(index, {});
  EXPECT_NEAR(search.bound(), 0.470004 * 2.2, 1e-6);
  const auto hits = search.take();
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].slot, 2u);
  EXPECT_NEAR(hits[0].score, 0.590862, 1e-6);
  EXPECT_NEAR(hits[1].score, 0.544215, 1e-6);
  EXPECT_EQ(slots(index, query, 1), std::vector<std::uint32_t>{2});
  EXPECT_TRUE(slots(index, query, 0).empty());
  EXPECT_TRUE(slots(SparseIndex(), query).empty());
}

// Words between: the phrase stands there from each of its first words, more often than its rarest word.
TEST(SparseSearch, APhraseIsMoreOftenThanItsRarestWord) {
  SparseIndex index;
  ASSERT_TRUE(index.put(0, text_of({"tea"})));
  for (std::uint32_t slot = 1; slot < 400; ++slot) ASSERT_TRUE(index.put(slot, text_of({"filler"})));
  ASSERT_TRUE(index.put(400, text_of({"coffee", "in", "coffee", "room"})));
  SparseQuery phrase;
  phrase.kind = SparseQuery::Kind::kPhrase;
  phrase.words = {{"coffee", 0}, {"room", 1}};
  phrase.slop = 2;
  SparseQuery query;
  query.clauses = {{Occur::kShould, SparseQuery::term("tea", 1.2)}, {Occur::kShould, phrase}};
  EXPECT_EQ(slots(index, query, 2), (std::vector<std::uint32_t>{400, 0}));
  EXPECT_EQ(slots(index, query, 1), std::vector<std::uint32_t>{400});
}

TEST(SparseSearch, OfWhatPeopleType) {
  Analyzer analyzer;
  SparseIndex index;
  const std::vector<std::string> passages{"The quick brown fox jumps over the lazy dog.", "A brown quick dog sleeps.", "Foxes are running quickly; a runner ran.", "To be or not to be, that is the question.",
                                          "\u202Eevil\u202C text with hid\u200Bden controls", "x86_64 and state-of-the-art C++"};
  for (std::uint32_t slot = 0; slot < passages.size(); ++slot) {
    AnalysedText text;
    analyzer.analyse(passages[slot], Analyzer::Purpose::kPassage, text);
    ASSERT_TRUE(index.put(slot, text));
  }
  const struct {
    std::string_view query;
    std::set<std::uint32_t> found;
  } cases[] = {{"quick fox", {0, 1, 2}},   {"+quick +fox", {0, 2}},        {"fox -lazy", {2}},          {"\"quick brown\"", {0}},   {"\"quick dog\"~6", {0, 1}},
               {"\"brown quick\"", {1}},   {"\"quick dog\"~0", {1}},       {"runn*", {2}},               {"running*", {2}},           {"foks~", {0, 2}},
               {"quikc~1 AND dog", {0, 1}}, {"(fox OR sleeps) AND lazy", {0}}, {"NOT fox dog", {1}},     {"to be or not to be", {0, 3, 5, 4, 2}}, {"the", {0, 3, 5}},
               {"hidden", {4}},            {"evil", {4}},                  {"-x86_64 text", {4}},        {"+x86_64", {5}},            {"zzzz unknown", {}},
               {"fox^3 dog", {0, 1, 2}},   {"?!", {}},                     {"", {}},                     {"\u202E\u200B", {}},        {"\"the question\"", {3}}};
  for (const auto& c : cases) {
    const auto query = parse_query(c.query, analyzer);
    ASSERT_TRUE(query) << c.query << ": " << query.error().message;
    const auto found = slots(index, *query);
    if (c.query == "to be or not to be") {
      EXPECT_EQ(found[0], 3u);
    } else {
      EXPECT_EQ(std::set<std::uint32_t>(found.begin(), found.end()), c.found) << c.query;
    }
  }
  std::string huge;
  while (huge.size() < kMaxQueryBytes) huge += "fox word" + std::to_string(huge.size()) + " ";
  EXPECT_FALSE(slots(index, plain_query(huge, analyzer)).empty());
}

}  // namespace
}  // namespace stoa::data
