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

TEST(FusedScore, ByScoresAndByRanks) {
  const FusionOptions options{.text_weight = 0.6, .rank_k = 1};
  const Standing second_and_first{.text_rank = 2, .vector_rank = 1, .text_score = 0.5, .passage_cosine = 0.7, .sentence_cosine = 0.9}, by_words{.text_rank = 1, .text_score = 1};
  struct Case {
    Standing why;
    bool text, vector;
    Fusion fusion;
    double expected;
  };
  for (const auto& [why, text, vector, fusion, expected] : std::vector<Case>{
           {second_and_first, true, true, Fusion::kWeighted, 0.6 * 0.5 + 0.4 * 0.8},
           {second_and_first, true, true, Fusion::kRanks, 0.8},  // 0.6 / 3 and 0.4 / 2, of the best possible 1 / 2
           {by_words, true, true, Fusion::kWeighted, 0.6},
           {by_words, true, true, Fusion::kRanks, 0.6},
           {second_and_first, true, false, Fusion::kWeighted, 0.5},
           {second_and_first, false, true, Fusion::kRanks, 0.8},
           {{.vector_rank = 1, .passage_cosine = -0.2, .sentence_cosine = -0.1}, false, true, Fusion::kWeighted, 0},
       })
    EXPECT_NEAR(fused_score(why, text, vector, fusion, options), expected, 1e-12);
}

// Likes what has the letter z.
class ZReranker : public Reranker {
 public:
  Result<Reranking> rerank(const Call&, const std::string&, std::span<const std::string> documents, int) override {
    Reranking out;
    for (const auto& document : documents) out.scores.push_back(document.contains('z') ? 2.0F : -2.0F);
    return out;
  }
  int max_tokens() const override { return 512; }
  std::string model() const override { return "z"; }
};

TEST(Retriever, SaysWhyAndReranks) {
  World world({{"a.txt", "red apple pie", "public", {}}, {"b.txt", "The red label was dear to a leader. Buzzing fuzzy bunnies hum in their tiny cosy tunnels, muzzy and funny.", "public", {}}, {"c.txt", "plum", "public", {}}});
  const Call call = as("ann");
  const auto found = *world.retriever.find(call, std::span(&world.collection, 1), "red apple", {});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].passage.path, "a.txt");
  EXPECT_EQ(found[0].why.text_rank, 1);
  EXPECT_EQ(found[0].why.text_score, 1);
  EXPECT_EQ(found[0].why.passage_cosine, found[0].why.sentence_cosine) << "one sentence is its passage";
  EXPECT_EQ(found[0].passage.score, found[0].why.fused);
  EXPECT_FALSE(found[0].why.relevance);
  const auto& letters = found[found[1].passage.path == "b.txt" ? 1 : 2];
  EXPECT_GT(letters.why.sentence_cosine, letters.why.passage_cosine);
  EXPECT_EQ(found[2].why.text_rank + found[1].why.text_rank, 2) << "the plum is found by meaning alone";

  ZReranker judge;
  Retriever reranking(world.catalog, world.index, &world.embedder, &judge);
  const auto judged = *reranking.find(call, std::span(&world.collection, 1), "red apple", {.k = 2, .rerank = 3});
  ASSERT_EQ(judged.size(), 2u);
  EXPECT_EQ(judged[0].passage.path, "b.txt");
  EXPECT_NEAR(*judged[0].why.relevance, 0.8808, 1e-4);
  EXPECT_EQ(judged[0].passage.score, *judged[0].why.relevance);
  EXPECT_EQ(judged[1].passage.path, "a.txt") << "equal ones stay in their order";
  EXPECT_EQ(reranking.find(call, std::span(&world.collection, 1), "red apple", {.min_score = 0.5, .rerank = 10})->size(), 1u);
  EXPECT_EQ(world.search(call, "red", {.rerank = 10}).error().param, "rerank") << "no reranker";
  EXPECT_EQ(reranking.search(call, std::span(&world.collection, 1), "red", {.k = 5, .rerank = 3}).error().param, "rerank");
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
