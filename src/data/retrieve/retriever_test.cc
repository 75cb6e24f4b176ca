#include "data/retrieve/retriever.h"

#include <random>
#include <set>

#include <gtest/gtest.h>

#include "data/index/test_embedder.h"
#include "data/sources/ingest.h"
#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/crypto/hash.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::data {
namespace {

struct Doc {
  std::string path, text, access;
  Attributes attributes;
};

// One installation with its own stores; documents keep the order they are given in.
struct World {
  explicit World(const std::vector<Doc>& docs) {
    EXPECT_TRUE(catalog.open("letters"));
    owner.principal = {"user_owner", "tenant_1", "proj_a", "owner", {}, "developer"};
    collection = bring(docs);
  }
  // A collection of these.
  std::string bring(const std::vector<Doc>& docs, const std::string& embedding_model = "") {
    const std::string collection = catalog.create_collection(owner, {"docs", {}, {}})->id;
    Ingest ingest(catalog, embedders);
    EXPECT_TRUE(ingest.start_worker());
    const auto set = ingest.reindex(owner, {collection, {}, {}, embedding_model});
    EXPECT_TRUE(set && ingest.wait(owner, *set, Deadline::after(std::chrono::seconds(20))));
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
    return collection;
  }
  Result<std::vector<Passage>> search(const Call& call, const std::string& query, SearchOptions options = {}) {
    return retriever.search(call, std::span(&collection, 1), query, options);
  }

  std::unique_ptr<infra::SqlDatabase> sql = std::move(*infra::open_memory());
  governance::MemoryProtection protection{*sql};
  Index index;
  Catalog catalog{*sql, protection.blobs, index};
  LetterEmbedder embedder;
  Embedders embedders = letter_embedders(embedder);
  Retriever retriever{catalog, index, embedders};
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
  double share() const override { return share_; }

  double share_ = 1;
};

TEST(Retriever, SaysWhyAndReranks) {
  World world({{"a.txt", "red apple pie", "public", {}}, {"b.txt", "The red leader appealed to a paddler. A lazy dog sleeps behind this very long wall of bricks.", "public", {}}, {"c.txt", "plum", "public", {}}});
  const Call call = as("ann");
  const auto found = *world.retriever.find(call, std::span(&world.collection, 1), "red apple", {});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].passage.path, "a.txt");
  EXPECT_EQ(found[0].why.text_rank, 1);
  EXPECT_GT(found[0].why.text_score, 0.3);
  EXPECT_LT(found[0].why.text_score, 0.6) << "it has both words, each once";
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
  judge.share_ = 0.5;
  const auto half = *reranking.find(call, std::span(&world.collection, 1), "red apple", {.k = 2, .rerank = 3});
  for (const Found& one : half) EXPECT_NEAR(one.passage.score, 0.5 * *one.why.relevance + 0.5 * one.why.fused, 1e-12);
  EXPECT_EQ(world.search(call, "red", {.rerank = 10}).error().param, "rerank") << "no reranker";
  EXPECT_EQ(reranking.search(call, std::span(&world.collection, 1), "red", {.k = 5, .rerank = 3}).error().param, "rerank");
}

std::vector<std::string> paths(const std::vector<Found>& found) {
  std::vector<std::string> out;
  for (const Found& one : found) out.push_back(one.passage.path);
  return out;
}

TEST(Retriever, OlderDocumentsCountLess) {
  const double now = static_cast<double>(Clock::system().now()) / 1e6, day = 86'400;
  World world({{"old.txt", "red apple pie", "public", {{"published", now - 60 * day}}},
               {"new.txt", "red apple pie with plums", "public", {{"published", to_rfc3339(static_cast<Micros>((now - 30 * day) * 1e6))}}},
               {"undated.txt", "muzzy buzz", "public", {{"published", std::string("last spring")}}}});
  const Call call = as("ann");
  const auto find = [&](SearchOptions options) { return *world.retriever.find(call, std::span(&world.collection, 1), "red apple pie", options); };
  const Micros month = *parse_half_life("30d");
  EXPECT_EQ(paths(find({}))[0], "old.txt");
  const auto found = find({.decay = {month, 1, "published"}});
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].passage.path, "new.txt");
  for (const Found& one : found) {
    ASSERT_TRUE(one.why.aged);
    const bool dated = one.passage.path != "undated.txt";
    EXPECT_EQ(one.why.aged->age.by_attribute, dated) << one.passage.path;
    EXPECT_NEAR(one.why.aged->factor, !dated ? 1 : one.passage.path == "new.txt" ? 0.5 : 0.25, 1e-3);
    EXPECT_EQ(one.passage.score, one.why.fused * one.why.aged->factor);
  }
  for (const Found& one : find({.decay = {month, 0.5, ""}})) EXPECT_FALSE(one.why.aged->age.by_attribute) << "all of them came in just now";
  EXPECT_EQ(paths(find({.min_score = 0.3, .decay = {month, 1, "published"}})), (std::vector<std::string>{"new.txt"})) << "what age took counts";
  ZReranker judge;
  Retriever reranking(world.catalog, world.index, &world.embedder, &judge);
  const auto judged = *reranking.find(call, std::span(&world.collection, 1), "red", {.k = 3, .rerank = 3, .decay = {month, 1, "published"}});
  EXPECT_EQ(paths(judged), (std::vector<std::string>{"undated.txt", "new.txt", "old.txt"})) << "it takes its part of relevance, too";
}

TEST(Retriever, CopiesGiveWayToVariety) {
  World world({{"a.txt", "red barn", "public", {}}, {"b.txt", "red barn", "public", {}}, {"c.txt", "red fox", "public", {}}, {"d.txt", "fox", "public", {}}, {"e.txt", "red fox barn", "private", {}}});
  const Call call = as("ann");
  const auto find = [&](SearchOptions options) { return *world.retriever.find(call, std::span(&world.collection, 1), "red fox barn", options); };
  EXPECT_EQ(paths(find({})), (std::vector<std::string>{"a.txt", "b.txt", "c.txt", "d.txt"}));
  const auto found = find({.k = 2, .diversity = 0.5});
  EXPECT_EQ(paths(found), (std::vector<std::string>{"a.txt", "d.txt"}));
  EXPECT_EQ(found[0].why.varied->likeness, 0);
  EXPECT_EQ(found[1].why.varied->rank, 4);
  EXPECT_LT(found[1].why.varied->likeness, 0.1);
  EXPECT_EQ(std::ranges::count(paths(find({.k = 3, .diversity = 0.6})), "b.txt"), 0) << "half a copy stands before a whole one";
}

TEST(Retriever, ShowsWhatStandsAround) {
  std::string text = "# Plants\n\n";
  for (int i = 0; i < 60; ++i) text += fmt::format("Paragraph {} is about {} and says a good deal, so that the whole section is longer than one chunk holds and has to be cut into several of them.\n\n", i, i == 30 ? "walnuts" : "trees");
  World world({{"plants.md", text + "# Animals\n\nA walrus.\n", "public", {}}});
  const Call call = as("ann");
  const auto find = [&](const char* query, std::size_t k, Surroundings context) {
    return *world.retriever.search(call, std::span(&world.collection, 1), query, {.k = k, .mode = SearchMode::kText, .context = context});
  };
  const auto bare = find("walnuts", 1, Surroundings::kNone), near = find("walnuts", 1, Surroundings::kNeighbours), whole = find("walnuts", 1, Surroundings::kSection);
  ASSERT_EQ(bare.size(), 1u);
  EXPECT_EQ(bare[0].context, "");
  EXPECT_EQ(near[0].text, bare[0].text);
  EXPECT_NE(near[0].context.find(bare[0].text), std::string::npos) << "the passage stands in its context";
  EXPECT_GT(near[0].context.size(), bare[0].text.size());
  EXPECT_GE(whole[0].context.size(), near[0].context.size());
  EXPECT_LE(whole[0].context.size(), 8192u);
  EXPECT_EQ(whole[0].context.find("walrus"), std::string::npos) << "of another section";
  EXPECT_EQ(find("walrus", 1, Surroundings::kSection)[0].context, "") << "it stands alone";
  // Reading order: paragraph numbers ascend.
  int last = -1;
  for (std::size_t at = whole[0].context.find("Paragraph "); at != std::string::npos; at = whole[0].context.find("Paragraph ", at + 1)) {
    const int number = std::stoi(whole[0].context.substr(at + 10));
    EXPECT_GE(number, last);
    last = number;
  }
  // A neighbour that is found itself is not repeated.
  const auto many = find("paragraph", 50, Surroundings::kNeighbours);
  ASSERT_GT(many.size(), 2u);
  for (const Passage& one : many)
    for (const Passage& other : many)
      EXPECT_TRUE(one.chunk_id == other.chunk_id || !one.context.contains(other.text)) << one.chunk_id;
}

// Knows one other word.
class OneRewriter : public QueryRewriter {
 public:
  explicit OneRewriter(Result<Rewriting> says) : says_(std::move(says)) {}
  Result<Rewriting> rewrite(const Call&, const std::string&, std::size_t count) override {
    asked += count;
    return says_;
  }
  Usage estimate(const std::string&, std::size_t) const override { return {}; }
  std::string model() const override { return "one"; }
  std::size_t asked = 0;

 private:
  Result<Rewriting> says_;
};

TEST(Retriever, SeveralPhrasingsBecomeOneList) {
  World world({{"a.txt", "red apple", "public", {}}, {"b.txt", "blue plum", "public", {}}, {"c.txt", "red plum", "public", {}}, {"d.txt", "quince", "private", {}}});
  const Call call = as("ann");
  const auto retrieve = [&](Retriever& retriever, SearchOptions options) { return *retriever.retrieve(call, std::span(&world.collection, 1), "apple", options); };
  const auto alone = retrieve(world.retriever, {.mode = SearchMode::kText});
  EXPECT_EQ(paths(alone.found), (std::vector<std::string>{"a.txt"}));
  EXPECT_EQ(alone.queries, (std::vector<std::string>{"apple"}));
  EXPECT_TRUE(alone.found[0].why.by_query.empty());

  const auto both = retrieve(world.retriever, {.mode = SearchMode::kText, .queries = {"blue plum", "apple"}});
  EXPECT_EQ(both.queries, (std::vector<std::string>{"apple", "blue plum"})) << "none twice";
  EXPECT_EQ(both.asked, 2u);
  EXPECT_EQ(paths(both.found), (std::vector<std::string>{"a.txt", "b.txt", "c.txt"}));
  EXPECT_EQ(both.found[0].why.by_query, (std::vector<double>{both.found[0].passage.score, 0}));
  EXPECT_EQ(both.found[1].why.query, 1u);
  const auto ranks = retrieve(world.retriever, {.fusion = Fusion::kRanks, .queries = {"plum"}});
  for (const Found& one : ranks.found) EXPECT_NEAR(one.why.fused, (one.why.by_query[0] + one.why.by_query[1]) / 2, 1e-12);

  OneRewriter says(Rewriting{.queries = {"blue plum", "apple", "more than asked"}, .usage = {.completion_tokens = 7}});
  Retriever rewriting(world.catalog, world.index, &world.embedder, nullptr, {}, &says);
  const auto rewritten = retrieve(rewriting, {.mode = SearchMode::kText, .rewrite = 2});
  EXPECT_EQ(rewritten.queries, (std::vector<std::string>{"apple", "blue plum"}));
  EXPECT_EQ(rewritten.asked, 1u);
  EXPECT_EQ(rewritten.rewriting->usage.completion_tokens, 7);
  EXPECT_EQ(rewritten.found[1].passage.path, "b.txt");
  EXPECT_NEAR(rewritten.found[1].passage.score, 0.8 * both.found[1].passage.score, 1e-12) << "a model's phrasing weighs less";
  retrieve(rewriting, {});
  EXPECT_EQ(says.asked, 2u) << "only where it is asked for";

  OneRewriter fails(fail(ErrorCode::kResourceExhausted, "the queue is full"));
  Retriever failing(world.catalog, world.index, &world.embedder, nullptr, {}, &fails);
  const auto unchanged = retrieve(failing, {.mode = SearchMode::kText, .rewrite = 2});
  EXPECT_EQ(paths(unchanged.found), paths(alone.found));
  EXPECT_EQ(unchanged.rewriting_problem, "the queue is full");
  EXPECT_FALSE(unchanged.rewriting);
  EXPECT_EQ(world.retriever.retrieve(call, std::span(&world.collection, 1), "apple", {.rewrite = 2}).error().param, "rewrite");
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
  options.min_score = world.search(call, "red apple")->front().score;
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

TEST(Retriever, CollectionsOfDifferentEmbeddingModelsAreSearchedTogether) {
  World world({{"red.txt", "abba zzyzx", "public", {}}, {"tea.txt", "tea leaf", "public", {}}});
  const std::string other = world.bring({{"car.txt", "babba magic", "public", {}}, {"oak.txt", "wood plank", "public", {}}}, "few");
  const std::vector<std::string> both{world.collection, other};
  EXPECT_EQ(world.index.embedding_model(other), "few");
  const Call call = as("ann");
  // Words find nothing: each collection says by its own model what is near.
  const auto found = world.retriever.find(call, both, "bab", {.k = 4});
  ASSERT_TRUE(found) << found.error().message;
  ASSERT_EQ(found->size(), 4u);
  for (const Found& one : *found) {
    EXPECT_GT(one.why.vector_rank, 0);
    EXPECT_LE(one.why.vector_rank, 2) << "among those of its model";
    EXPECT_GT(one.why.passage_cosine, 0);
  }
  EXPECT_EQ((std::set<std::string>{found->at(0).passage.path, found->at(1).passage.path}), (std::set<std::string>{"red.txt", "car.txt"}));
  SearchOptions options{.k = 4, .mode = SearchMode::kVector};
  EXPECT_EQ(world.retriever.find(call, both, "bab", options)->size(), 4u);
  EXPECT_EQ(world.retriever.find(call, std::span(&other, 1), "bab", options)->size(), 2u);
  options.diversity = 0.5;
  EXPECT_EQ(world.retriever.find(call, both, "bab", options)->size(), 4u);

  // Where the model is not there any more, words are.
  Retriever without(world.catalog, world.index, &world.embedder);
  EXPECT_EQ(without.find(call, both, "magic", {.k = 4})->at(0).passage.path, "car.txt");
  EXPECT_EQ(without.find(call, std::span(&other, 1), "bab", options).error().param, "mode");
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
