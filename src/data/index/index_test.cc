#include "data/index/index.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "data/index/attribute_index.h"

namespace stoa::data {
namespace {

Principal reader(std::string user, std::vector<std::string> groups = {}, std::string project = "proj_a") {
  return {"user_1", "tenant_1", std::move(project), std::move(user), std::move(groups), "viewer"};
}

const std::vector<std::string> kCollection{"vs_1"};

// A reader of chunks where none must be asked for.
Result<std::vector<IndexedChunk>> no_chunks() { return fail(ErrorCode::kInternal, "chunks were asked for"); }

IndexedDocument document(std::string id, ChunkKey key, std::string text, const std::string& access = "public", std::vector<float> vector = {}) {
  return {std::move(id), *AccessList::parse(access), {}, {{key, std::move(text), std::move(vector)}}};
}

// N = 3, words 2, 3, 4, mean 3. "cat": idf * 2.2 at most.
// In the first passage tf 1, norm 1.2 * (0.25 + 0.75 * 2 / 3) = 0.9: idf * 2.2 / 1.9.
// In the third tf 2, norm 1.2 * (0.25 + 0.75 * 4 / 3) = 1.5: idf * 4.4 / 3.5.
TEST(Index, Bm25AsComputedByHand) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(index.put("vs_1", document("d1", 1, "cat mat")));
  ASSERT_TRUE(index.put("vs_1", document("d2", 2, "dog log frog")));
  ASSERT_TRUE(index.put("vs_1", document("d3", 3, "cat cat hat bat")));
  const auto hits = *index.search_text({reader(""), kCollection}, "the cat");
  ASSERT_EQ(hits.size(), 2u);
  EXPECT_EQ(hits[0].key, 3);
  EXPECT_NEAR(hits[0].score, 2 / 3.5, 1e-12);
  EXPECT_EQ(hits[1].key, 1);
  EXPECT_NEAR(hits[1].score, 1 / 1.9, 1e-12);
}

TEST(Index, ReplaceRelabelRemove) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  const auto keys = [&](const Principal& who, std::string_view query) {
    std::vector<ChunkKey> found;
    const auto hits = index.search_text({who, kCollection}, query);
    for (const auto& hit : *hits) found.push_back(hit.key);
    return found;
  };
  ASSERT_TRUE(index.put("vs_1", document("d1", 1, "alpha")));
  ASSERT_TRUE(index.put("vs_1", document("d1", 2, "beta")));
  EXPECT_TRUE(keys(reader(""), "alpha").empty());
  EXPECT_EQ(keys(reader(""), "beta"), std::vector<ChunkKey>{2});
  ASSERT_TRUE(index.relabel("vs_1", "d1", *AccessList::parse("group:eng"), {}, "", [] { return std::vector<IndexedChunk>{{2, "beta", {}}}; }));
  ASSERT_TRUE(index.relabel("vs_1", "d1", *AccessList::parse("group:eng"), {{"n", 1.0}}, "", no_chunks));
  EXPECT_TRUE(keys(reader("ann"), "beta").empty());
  EXPECT_EQ(keys(reader("ann", {"eng"}), "beta"), std::vector<ChunkKey>{2});
  EXPECT_TRUE(keys(reader("ann", {"eng"}, "proj_b"), "beta").empty());
  EXPECT_TRUE(keys(Principal{}, "beta").empty());
  index.remove("vs_1", "d1");
  EXPECT_TRUE(keys(reader("ann", {"eng"}), "beta").empty());
  EXPECT_EQ(index.put("vs_2", document("d1", 1, "x")).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(index.relabel("vs_1", "d1", {}, {}, "", no_chunks).error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(index.put("vs_1", document("v1", 5, "x", "public", {1, 0})));
  EXPECT_EQ(index.put("vs_1", document("v2", 6, "x", "public", {1, 0, 0})).error().code, ErrorCode::kInvalidArgument);
}

TEST(Index, AFailedWriteChangesNothing) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(index.put("vs_1", document("d1", 1, "alpha", "public", {1, 0})));
  const Principal everybody = reader("");
  const auto scope = [&] { return Index::Scope{everybody, kCollection}; };
  const std::vector<std::vector<float>> bad{{0, 0}, {1, NAN}, {INFINITY, 0}, {1, 0, 0}};
  for (const auto& vector : bad) {
    EXPECT_EQ(index.put("vs_1", document("d1", 2, "beta", "public", vector)).error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(index.put("vs_1", document("d2", 3, "beta", "user:ann", vector)).has_value(), vector.size() == 3);  // other readers, other dimensions
    index.remove("vs_1", "d2");
  }
  EXPECT_EQ(index.search_text(scope(), "alpha")->size(), 1u);
  EXPECT_TRUE(index.search_text(scope(), "beta")->empty());
  ASSERT_EQ(index.search_vector(scope(), std::vector<float>{1, 0})->size(), 1u);
  EXPECT_TRUE(index.search_vector(scope(), std::vector<float>{1, 0, 0})->empty());
  EXPECT_EQ(index.search_vector(scope(), std::vector<float>{0, 0}).error().code, ErrorCode::kInvalidArgument);
  index.remove("vs_1", "d1");
  ASSERT_TRUE(index.put("vs_1", document("d1", 4, "gamma", "public", {1, 0, 0})));  // the last vector of two numbers has gone
  EXPECT_EQ(index.search_vector(scope(), std::vector<float>{1, 0, 0})->size(), 1u);
  // Readers change and the chunks cannot be read: not found any more.
  EXPECT_FALSE(index.relabel("vs_1", "d1", *AccessList::parse("user:ann"), {}, "", no_chunks));
  EXPECT_TRUE(index.search_text(scope(), "gamma")->empty());
  EXPECT_EQ(index.add_collection("vs_2", "proj_a", "klingon").error().code, ErrorCode::kInvalidArgument);
}

TEST(Index, LanguagesAndSyntax) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(index.add_collection("vs_de", "proj_a", "de"));
  ASSERT_TRUE(index.put("vs_1", document("d1", 1, "running shoes for the house")));
  ASSERT_TRUE(index.put("vs_de", document("d2", 2, "die Häuser am Fluss")));
  const std::vector<std::string> both{"vs_1", "vs_de"};
  const struct {
    const char* query;
    Index::Syntax syntax;
    std::vector<ChunkKey> keys;
  } cases[] = {{"run", Index::Syntax::kPlain, {1}}, {"Haus", Index::Syntax::kPlain, {2}}, {"house Häuser", Index::Syntax::kPlain, {1, 2}},
               {"\"running shoes\"", Index::Syntax::kOperators, {1}}, {"\"shoes running\"", Index::Syntax::kOperators, {}}, {"Flu*", Index::Syntax::kOperators, {2}},
               {"shoes -house", Index::Syntax::kOperators, {}}, {"huose~", Index::Syntax::kOperators, {1}}};
  for (const auto& c : cases) {
    std::vector<ChunkKey> keys;
    const auto hits = index.search_text({reader(""), both}, c.query, c.syntax);
    ASSERT_TRUE(hits) << c.query;
    for (const Hit& hit : *hits) keys.push_back(hit.key);
    std::ranges::sort(keys);
    EXPECT_EQ(keys, c.keys) << c.query;
  }
  EXPECT_EQ(index.search_text({reader(""), both}, "\"open", Index::Syntax::kOperators).error().code, ErrorCode::kInvalidArgument);
}

// Filters as bitmaps let through what they let through document by document, whatever comes and goes.
TEST(AttributeIndex, MatchesLikeTheFilter) {
  std::mt19937 random(3);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto value = [&]() -> Attribute {
    switch (below(3)) {
      case 0: return static_cast<double>(below(6) - 2);
      case 1: return std::string(1, static_cast<char>('a' + below(4)));
      default: return below(2) == 0;
    }
  };
  const auto key = [&] { return std::string(1, static_cast<char>('p' + below(3))); };
  const std::function<Filter(int)> filter = [&](int depth) {
    Filter made;
    made.op = static_cast<FilterOp>(below(depth > 0 ? 10 : 8));
    if (made.op == FilterOp::kAnd || made.op == FilterOp::kOr) {
      for (int i = below(4); i > 0; --i) made.filters.push_back(filter(depth - 1));
      return made;
    }
    made.key = key();
    for (int i = made.op == FilterOp::kIn || made.op == FilterOp::kNotIn ? below(4) : 1; i > 0; --i) made.values.push_back(value());
    return made;
  };
  AttributeIndex index;
  std::map<std::uint32_t, Attributes> documents;  // by first slot; each has two
  SlotBitmap live;
  for (int step = 0; step < 3000; ++step) {
    const auto at = static_cast<std::uint32_t>(2 * below(60));
    const std::vector<std::uint32_t> slots{at + 1, at};
    if (const auto old = documents.find(at); old != documents.end()) {
      index.remove(slots, old->second);
      documents.erase(old);
      for (const auto slot : slots) live.reset(slot);
    } else {
      Attributes attributes;
      for (int i = below(4); i > 0; --i) attributes[key()] = value();
      index.add(slots, attributes);
      documents[at] = attributes;
      for (const auto slot : slots) live.set(slot);
    }
    const Filter asked = filter(3);
    const SlotBitmap found = index.match(asked, live);
    for (std::uint32_t slot = 0; slot < 130; ++slot) {
      const auto owner = documents.find(slot / 2 * 2);
      ASSERT_EQ(found.test(slot), owner != documents.end() && asked.matches(owner->second)) << step << " " << slot;
    }
  }
}

TEST(Index, TellsWhatAFilterCannotCompare) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  ASSERT_TRUE(index.put("vs_1", {"d1", *AccessList::parse("public"), {{"year", 2024.0}, {"lang", std::string("en")}}, {{1, "alpha", {}}}}));
  ASSERT_TRUE(index.put("vs_1", {"d2", *AccessList::parse("user:bob"), {{"secret", true}, {"year", std::string("2024")}}, {{2, "beta", {}}}}));
  const auto f = [](FilterOp op, std::string key, std::vector<Attribute> values) { return Filter{op, std::move(key), std::move(values), {}}; };
  const std::string no_secret = "no document that you may read has an attribute 'secret'";
  const struct {
    Filter filter;
    std::vector<std::string> ann, bob;
  } cases[] = {{{}, {}, {}},
               {f(FilterOp::kGt, "year", {2000.0}), {}, {}},
               {f(FilterOp::kIn, "year", {}), {}, {}},
               {f(FilterOp::kEq, "year", {std::string("2024")}), {"'year' is compared with a text, and is a number in all documents that you may read"}, {}},
               {f(FilterOp::kIn, "year", {std::string("2024"), 2024.0}), {}, {}},
               {f(FilterOp::kEq, "year", {true}), {"'year' is compared with a truth value, and is a number in all documents that you may read"},
                {"'year' is compared with a truth value, and is a text or a number in all documents that you may read"}},
               {f(FilterOp::kNe, "secret", {false}), {no_secret}, {}},
               {{FilterOp::kOr, "", {}, {f(FilterOp::kEq, "lang", {std::string("de")}), {FilterOp::kAnd, "", {}, {f(FilterOp::kEq, "secret", {true})}}}}, {no_secret}, {}}};
  for (const auto& c : cases)
    for (const auto& [name, expected] : {std::pair{"ann", c.ann}, {"bob", c.bob}}) {
      const Principal who{std::string("user_") + name, "tenant_1", "proj_a", name, {}, "developer"};
      EXPECT_EQ(index.filter_problems({who, kCollection, &c.filter}), expected) << name << " " << c.filter.key;
    }
}

TEST(Marks, AreAttributesAsTheyAreWritten) {
  const std::pair<Attributes, Marks> cases[] = {
      {{}, {"ann", "", "", ""}},
      {{{"class", "secret"}, {"residency", "eu"}, {"labels", "a, b"}, {"owner", "eve"}}, {"ann", "secret", "eu", "a, b"}},
      {{{"class", 3.0}, {"residency", 0.5}, {"labels", 2024.0}}, {"ann", "3", "0.5", "2024"}},
      {{{"class", true}, {"labels", false}}, {"ann", "true", "", "false"}},
  };
  for (const auto& [attributes, marks] : cases) EXPECT_EQ(marks_of("ann", attributes), marks);
}

TEST(Filter, Table) {
  const Attributes attributes{{"year", 2024.0}, {"lang", std::string("en")}, {"draft", false}};
  const auto f = [](FilterOp op, std::string key, std::vector<Attribute> values) { return Filter{op, std::move(key), std::move(values), {}}; };
  const Filter yes = f(FilterOp::kEq, "lang", {std::string("en")}), no = f(FilterOp::kEq, "lang", {std::string("de")});
  const struct {
    Filter filter;
    bool expected;
  } cases[] = {{yes, true}, {no, false}, {{}, true},
               {f(FilterOp::kNe, "lang", {std::string("de")}), true}, {f(FilterOp::kNe, "missing", {1.0}), true}, {f(FilterOp::kEq, "missing", {1.0}), false},
               {f(FilterOp::kGt, "year", {2023.0}), true}, {f(FilterOp::kGte, "year", {2024.0}), true}, {f(FilterOp::kLt, "year", {2024.0}), false},
               {f(FilterOp::kLte, "year", {2024.0}), true}, {f(FilterOp::kGt, "lang", {1.0}), false}, {f(FilterOp::kEq, "year", {std::string("2024")}), false},
               {f(FilterOp::kIn, "year", {2023.0, 2024.0}), true}, {f(FilterOp::kNotIn, "year", {2023.0}), true}, {f(FilterOp::kIn, "year", {}), false},
               {f(FilterOp::kEq, "draft", {false}), true},
               {{FilterOp::kAnd, "", {}, {yes, no}}, false}, {{FilterOp::kOr, "", {}, {yes, no}}, true}, {{FilterOp::kOr, "", {}, {}}, false}};
  for (const auto& c : cases) EXPECT_EQ(c.filter.matches(attributes), c.expected) << c.filter.key;
  Filter deep = yes;
  for (int i = 0; i < 20; ++i) deep = Filter{FilterOp::kAnd, "", {}, {deep}};
  EXPECT_FALSE(deep.check());
  EXPECT_FALSE(f(FilterOp::kEq, "", {1.0}).check());
  EXPECT_FALSE(f(FilterOp::kEq, "a", {}).check());
  EXPECT_FALSE(f(FilterOp::kGt, "a", {true}).check());
  EXPECT_TRUE(yes.check());
  EXPECT_FALSE(parse_filter_op("like"));
}

// For random corpora, access lists, principals and queries: a search in everything gives, to the bit, what a search gives in
// an index that never held the documents the principal may not read. Some documents are replaced, relabelled or removed first.
TEST(IndexAttacks, InvisibleDocumentsLeaveNoTrace) {
  std::mt19937 random(7);
  const auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const std::vector<std::string> words{"tax", "form", "leave", "policy", "secret", "merger", "salary", "room", "coffee", "bike", "rule", "plan"};
  const std::vector<std::string> lists{"public", "private", "user:ann", "user:bob", "group:eng", "group:hr", "user:ann,group:hr", "user:bob,group:eng,group:hr"};
  const std::vector<std::string> classes{"", "open", "secret"};
  std::vector<std::string> owners{"user_1", "user_2"};
  const std::vector<Principal> people{reader(""), reader("ann"), reader("bob", {"eng"}), reader("cyd", {"eng", "hr"}), reader("dan", {}, "proj_b")};
  const auto text = [&] {
    std::string out;
    for (int i = 1 + below(12); i > 0; --i) out += words[static_cast<std::size_t>(below(static_cast<int>(words.size())))] + " ";
    return out;
  };
  const auto operators = [&] {
    const auto word = [&] { return words[static_cast<std::size_t>(below(static_cast<int>(words.size())))]; };
    std::string out = word();
    for (int i = 1 + below(4); i > 0; --i) {
      const std::string one = word();
      switch (below(6)) {
        case 0: out += " " + one.substr(0, 2) + "*"; break;
        case 1: out += " " + one.substr(1) + "~" + std::to_string(1 + below(2)); break;
        case 2: out += " \"" + one + " " + word() + "\"~" + std::to_string(below(3)); break;
        case 3: out += " +" + one; break;
        case 4: out += " -" + one; break;
        default: out += " " + one + "^2";
      }
    }
    return out;
  };
  const auto vector = [&] {
    std::vector<float> v(24);
    float norm = 0;
    for (auto& x : v) x = static_cast<float>(below(2000) - 1000), norm += x * x;
    for (auto& x : v) x /= std::sqrt(norm);
    return v;
  };
  int compared = 0;
  for (int round = 0; round < 20; ++round) {
    if (round == 10)  // more groups than segments
      for (int owner = 3; owner < 60; ++owner) owners.push_back("user_" + std::to_string(owner));
    Index all(round < 15 ? Index::kSharedWords : 200);  // more than one segment that is shared
    ASSERT_TRUE(all.add_collection("vs_1", "proj_a"));
    std::map<std::string, IndexedDocument> documents;
    ChunkKey key = 0;
    for (int i = 0; i < (round < 10 ? 60 : 200); ++i) {
      IndexedDocument d{"doc" + std::to_string(below(round < 10 ? 40 : 120)), *AccessList::parse(lists[static_cast<std::size_t>(below(8))]), {{"n", static_cast<double>(below(3))}}, {}, owners[static_cast<std::size_t>(below(static_cast<int>(owners.size())))]};
      if (const std::string& said = classes[static_cast<std::size_t>(below(3))]; !said.empty()) d.attributes["class"] = said;
      for (int c = 1 + below(3); c > 0; --c) d.chunks.push_back({++key, text(), below(4) == 0 ? std::vector<float>() : vector()});
      ASSERT_TRUE(all.put("vs_1", d));
      documents[d.id] = d;
      if (below(5) == 0) {
        if (below(2) == 0) documents[d.id].access = *AccessList::parse(lists[static_cast<std::size_t>(below(8))]);
        documents[d.id].attributes["class"] = classes[static_cast<std::size_t>(below(3))];
        ASSERT_TRUE(all.relabel("vs_1", d.id, documents[d.id].access, documents[d.id].attributes, documents[d.id].owner, [&] { return documents[d.id].chunks; }));
      } else if (below(6) == 0) {
        all.remove("vs_1", d.id);
        documents.erase(d.id);
      }
    }
    for (const auto& who : people) {
      // Policies: nobody may read what is secret but who brought it in.
      const auto permits = [&](const Marks& marks) { return round % 2 == 0 || marks.data_class != "secret" || marks.owner == who.id; };
      Index seen;
      ASSERT_TRUE(seen.add_collection("vs_1", "proj_a"));
      for (const auto& [id, d] : documents) {
        if (who.project == "proj_a" && may_read(who, d.access) && permits(marks_of(d.owner, d.attributes))) {
          ASSERT_TRUE(seen.put("vs_1", d));
        }
      }
      for (int q = 0; q < 10; ++q) {
        const Filter filter{FilterOp::kNe, "n", {static_cast<double>(below(4))}, {}};
        const std::string query = text();
        const std::vector<float> meaning = vector();
        const auto same = [&](const std::vector<Hit>& a, const std::vector<Hit>& b) {
          ASSERT_EQ(a.size(), b.size());
          for (std::size_t i = 0; i < a.size(); ++i) {
            EXPECT_EQ(a[i].key, b[i].key);
            EXPECT_EQ(a[i].score, b[i].score);
          }
          compared += static_cast<int>(a.size());
        };
        const Index::Scope scope{who, kCollection, &filter, static_cast<std::size_t>(1 + below(20)), permits};
        same(*all.search_text(scope, query), *seen.search_text(scope, query));
        for (int n = 0; n < 3; ++n) {
          const std::string asked = operators();
          const auto found = all.search_text(scope, asked, Index::Syntax::kOperators);
          ASSERT_TRUE(found) << asked << ": " << found.error().message;
          same(*found, *seen.search_text(scope, asked, Index::Syntax::kOperators));
        }
        same(*all.search_vector(scope, meaning), *seen.search_vector(scope, meaning));
      }
    }
  }
  EXPECT_GT(compared, 1000);
}

TEST(Index, SearchesWhileWriting) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  std::atomic<bool> done{false};
  std::vector<std::thread> readers;
  std::atomic<int> torn{0};
  for (int t = 0; t < 3; ++t) {
    readers.emplace_back([&] {
      while (!done) {
        // Replaced at once: a document is found with one of its texts, never with both.
        const auto found = index.search_text({reader("ann", {"eng"}), kCollection, nullptr, 100}, "word");
        if (!found || found->size() > 20) ++torn;
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    ASSERT_TRUE(index.put("vs_1", document("d" + std::to_string(i % 20), i, "word " + std::to_string(i), i % 3 == 0 ? "public" : "group:eng", {1, 0})));
  }
  done = true;
  for (auto& thread : readers) thread.join();
  EXPECT_EQ(torn, 0);
  EXPECT_EQ(index.search_text({reader("ann", {"eng"}), kCollection, nullptr, 100}, "word")->size(), 20u);
}

// Enough passages for a graph: what is nearest is found, with and without a filter, while documents come and go beside the searches.
TEST(Index, NearestAmongMany) {
  Index index;
  ASSERT_TRUE(index.add_collection("vs_1", "proj_a"));
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  const auto vector = [&] {
    std::vector<float> v(16);
    for (float& x : v) x = normal(random);
    return v;
  };
  std::vector<std::vector<float>> vectors;
  for (int d = 0; d < 600; ++d) {
    IndexedDocument made{"d" + std::to_string(d), *AccessList::parse("public"), {{"n", static_cast<double>(d % 10)}}, {}};
    for (int c = 0; c < 10; ++c) {
      vectors.push_back(vector());
      made.chunks.push_back({static_cast<ChunkKey>(vectors.size()), "text", vectors.back()});
    }
    ASSERT_TRUE(index.put("vs_1", std::move(made)));
  }
  std::atomic<bool> done{false};
  std::thread writer([&] {
    for (int d = 0; !done; d = (d + 1) % 50) {
      const auto key = static_cast<ChunkKey>(1'000'000 + d);
      if (!index.put("vs_1", document("other" + std::to_string(d), key, "text", "public", std::vector<float>(16, 1.0F)))) break;
      index.remove("vs_1", "other" + std::to_string(d));
    }
  });
  const Filter third{FilterOp::kEq, "n", {3.0}, {}};
  int right = 0;
  for (int q = 0; q < 100; ++q) {
    const std::vector<float> query = vector();
    for (const Filter* filter : {static_cast<const Filter*>(nullptr), &third}) {
      ChunkKey best = 0;
      double score = -2;
      for (std::size_t i = 0; i < vectors.size(); ++i) {
        if (filter != nullptr && i / 10 % 10 != 3) continue;
        const double cosine = dot(query.data(), vectors[i].data(), 16) / std::sqrt(dot(vectors[i].data(), vectors[i].data(), 16));
        if (cosine > score) score = cosine, best = static_cast<ChunkKey>(i) + 1;
      }
      const auto hits = index.search_vector({reader(""), kCollection, filter}, query);
      ASSERT_TRUE(hits);
      std::vector<ChunkKey> keys;
      for (const Hit& hit : *hits)
        if (hit.key < 1'000'000) keys.push_back(hit.key);
      right += std::ranges::find(keys, best) != keys.end() ? 1 : 0;
      if (filter != nullptr) {
        EXPECT_EQ(keys.size(), 10u);
        for (const ChunkKey key : keys) EXPECT_EQ((key - 1) / 10 % 10, 3);
      }
    }
  }
  done = true;
  writer.join();
  EXPECT_GE(right, 195);
}

}  // namespace
}  // namespace stoa::data
