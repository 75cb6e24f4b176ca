#include "data/retrieve/retriever.h"

#include <cmath>
#include <random>

#include <gtest/gtest.h>

#include "data/sources/ingest.h"
#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

// The letters of a text as its meaning.
class LetterEmbedder : public Embedder {
 public:
  Result<Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    Embeddings out{26, {}, {}, 0};
    for (const auto& text : texts) {
      std::vector<float> v(26, 0.01F);
      for (const char c : text) {
        if (c >= 'a' && c <= 'z') v[static_cast<std::size_t>(c - 'a')] += 1;
      }
      float norm = 0;
      for (const float x : v) norm += x * x;
      for (const float x : v) out.values.push_back(x / std::sqrt(norm));
      out.tokens.push_back(1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return approximate_tokens(text); }
  int dimensions() const override { return 26; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "letters"; }
};

struct Doc {
  std::string path, text, access;
  Attributes attributes;
};

// One installation with its own stores; documents keep the order they are given in.
struct World {
  explicit World(const std::vector<Doc>& docs) {
    EXPECT_TRUE(catalog.open("letters"));
    owner.principal = {"user_owner", "tenant_1", "proj_a", "owner", {}, "developer"};
    collection = catalog.create_collection(owner, {"docs", {}, {}})->id;
    Ingest ingest(catalog, &embedder);
    EXPECT_TRUE(ingest.start_worker());
    for (const auto& doc : docs) {
      const std::string digest = "sha256:" + infra::sha256_hex(doc.text);
      const auto job = ingest.create_job(owner, {collection, "s", {{doc.path, digest, static_cast<std::int64_t>(doc.text.size()), ""}},
                                                 *AccessList::parse(doc.access), doc.attributes, false});
      EXPECT_TRUE(job);
      for (const auto& missing : job->missing) EXPECT_TRUE(ingest.put_blob(owner, job->id, missing, as_bytes(doc.text)));
      EXPECT_TRUE(ingest.start(owner, job->id));
      EXPECT_EQ(ingest.wait(owner, job->id, Deadline::after(std::chrono::seconds(20)))->failed, 0);
    }
    ingest.stop_worker();
  }
  Result<std::vector<Passage>> search(const Call& call, const std::string& query, SearchOptions options = {}) {
    return retriever.search(call, std::span(&collection, 1), query, options);
  }

  std::unique_ptr<infra::SqlDatabase> sql = std::move(*infra::open_memory());
  governance::MemoryProtection protection{*sql};
  Index index;
  Catalog catalog{*sql, protection.blobs, index};
  LetterEmbedder embedder;
  Retriever retriever{catalog, index, &embedder};
  Call owner;
  std::string collection;
};

Call as(const std::string& user, std::vector<std::string> groups = {}) {
  Call call;
  call.principal = {"user_" + user, "tenant_1", "proj_a", user, std::move(groups), "viewer"};
  return call;
}

TEST(Fuse, ByRank) {
  const std::vector<Hit> text{{1, 9.0}, {2, 8.0}}, vector{{2, 0.9}, {3, 0.8}};
  const auto fused = fuse(text, vector, {1, 0.6, 0.4, 100});
  ASSERT_EQ(fused.size(), 3u);
  EXPECT_EQ(fused[0].key, 2);
  EXPECT_NEAR(fused[0].score, 0.8, 1e-12);  // 0.6 / 3 and 0.4 / 2, of the best possible 1 / 2
  EXPECT_EQ(fused[1].key, 1);
  EXPECT_NEAR(fused[1].score, 0.6, 1e-12);
  EXPECT_EQ(fused[2].key, 3);
  EXPECT_NEAR(fuse(text, text, {1, 0.6, 0.4, 100})[0].score, 1.0, 1e-12);
  EXPECT_TRUE(fuse({}, {}, {}).empty());
}

TEST(Retriever, PassagesCarryTheirPlace) {
  World world({{"guide.html", "<title>Guide</title><h1 id=intro>Intro</h1><p>Nothing here.</p><h2 id=leave>Leave</h2><p>Holidays are thirty days.</p>", "public", {}}});
  Trace trace("t");
  Call call = as("ann");
  call.trace = &trace;
  const auto found = world.search(call, "how many holidays?");
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_FALSE(found->empty());
  const Passage& top = found->front();
  EXPECT_EQ(top.text, "Holidays are thirty days.");
  EXPECT_EQ(top.section, (std::vector<std::string>{"Intro", "Leave"}));
  EXPECT_EQ(top.anchor, "leave");
  EXPECT_EQ(top.title, "Guide");
  EXPECT_EQ(top.path, "guide.html");
  EXPECT_EQ(top.collection, world.collection);
  EXPECT_EQ(world.retriever.document(call, top.document_id)->document.content_type, "text/html");
  const auto records = trace.records();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].name, "retrieval");
}

TEST(Retriever, FiltersScoresAndRefusals) {
  World world({{"a.txt", "red apple", "public", {{"year", 2020.0}}}, {"b.txt", "red brick wall", "public", {{"year", 2024.0}}}});
  const Call call = as("ann");
  SearchOptions options;
  options.filter = {FilterOp::kGt, "year", {2021.0}, {}};
  for (const auto mode : {SearchMode::kHybrid, SearchMode::kText, SearchMode::kVector}) {
    options.mode = mode;
    const auto found = world.search(call, "red", options);
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ(found->front().path, "b.txt");
    EXPECT_LE(found->front().score, 1.0 + 1e-6);
  }
  options = {};
  options.min_score = 0.999;
  EXPECT_EQ(world.search(call, "red apple", options)->size(), 1u);
  options = {};
  options.k = 0;
  EXPECT_EQ(world.search(call, "red", options).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(world.search(call, "").error().code, ErrorCode::kInvalidArgument);
  Call other = call;
  other.principal.project = "proj_b";
  EXPECT_EQ(world.search(other, "red").error().code, ErrorCode::kNotFound);
  Retriever text_only(world.catalog, world.index, nullptr);
  options = {};
  EXPECT_EQ(text_only.search(call, std::span(&world.collection, 1), "apple", options)->size(), 1u);
  options.mode = SearchMode::kVector;
  EXPECT_EQ(text_only.search(call, std::span(&world.collection, 1), "apple", options).error().code, ErrorCode::kInvalidArgument);
}

// The whole path, from files to passages: what a principal finds among all documents is what it finds where only its own exist.
TEST(RetrieverAttacks, InvisibleDocumentsLeaveNoTrace) {
  std::mt19937 random(11);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const std::vector<std::string> words{"tax", "form", "leave", "policy", "secret", "merger", "salary", "room", "coffee", "bike"};
  const std::vector<std::string> lists{"public", "private", "user:ann", "group:eng", "user:bob,group:hr"};
  const auto text = [&] {
    std::string out;
    for (std::size_t i = 2 + below(15); i > 0; --i) out += words[below(words.size())] + " ";
    return out;
  };
  std::vector<Doc> docs;
  for (int i = 0; i < 40; ++i) docs.push_back({"d" + std::to_string(i) + ".txt", text() + std::to_string(i), lists[below(lists.size())], {}});
  World all(docs);
  for (const Call& who : {as("ann"), as("bob", {"eng"}), as("cyd", {"eng", "hr"})}) {
    std::vector<Doc> own;
    for (const auto& doc : docs) {
      if (may_read(who.principal, *AccessList::parse(doc.access))) own.push_back(doc);
    }
    World seen(own);
    EXPECT_EQ(all.catalog.collection(who, all.collection)->counts.total, static_cast<std::int64_t>(own.size()));
    for (int q = 0; q < 10; ++q) {
      const std::string query = text();
      for (const auto mode : {SearchMode::kHybrid, SearchMode::kText, SearchMode::kVector}) {
        SearchOptions options;
        options.mode = mode;
        const auto a = all.search(who, query, options), b = seen.search(who, query, options);
        ASSERT_TRUE(a && b);
        ASSERT_EQ(a->size(), b->size());
        for (std::size_t i = 0; i < a->size(); ++i) {
          EXPECT_EQ((*a)[i].path, (*b)[i].path);
          EXPECT_EQ((*a)[i].score, (*b)[i].score);
        }
      }
    }
  }
}

}  // namespace
}  // namespace stoa::data
