#include "feedback/evaluation/access_leaks.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "governance/protection/memory_protection.h"
#include "infra/blob/blob.h"
#include "infra/sql/sqlite/sqlite.h"

namespace stoa::feedback {
namespace {

// Vectors of letters, so that meaning is searched as well.
class LetterEmbedder final : public data::Embedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    data::Embeddings out{.dimensions = 27, .values = {}, .tokens = {}};
    for (const std::string& text : texts) {
      std::vector<float> vector(27, 0.01f);
      for (const char c : text) vector[c >= 'a' && c <= 'z' ? static_cast<std::size_t>(c - 'a') : 26] += 1;
      const float length = std::sqrt(data::dot(vector.data(), vector.data(), vector.size()));
      for (const float value : vector) out.values.push_back(value / length);
      out.tokens.push_back(static_cast<int>(text.size() / 4) + 1);
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size() / 4) + 1; }
  int dimensions() const override { return 27; }
  int max_tokens() const override { return 256; }
  std::string model() const override { return "letters"; }
};

QuestionSet words_set() {
  QuestionSet set{"words", {}, {}};
  const char* words[] = {"apple", "bridge", "candle", "dragon", "engine", "forest", "garden", "harbour"};
  for (std::size_t i = 0; i < 40; ++i) {
    const std::string text = fmt::format("The {} stands beside the {} and number {} is {}.", words[i % 8], words[(i / 8 + i) % 8], i, words[(3 * i + 1) % 8]);
    set.paragraphs.push_back({fmt::format("p{:06}.txt", i + 1), "", text});
    set.questions.push_back({.id = std::to_string(i), .text = fmt::format("where is the {} of the {}", words[i % 8], words[(i + 3) % 8]), .relevant = {{i, 1}}});
  }
  return set;
}

class AccessLeakAttacks : public testing::Test {
 protected:
  void SetUp() override {
    call_.principal = {"user_1", "tenant_1", "proj_1", "ann", {}, "developer"};
    ASSERT_TRUE(catalog_.open("letters"));
    ASSERT_TRUE(ingest_.start_worker());
    functions_.new_collection = [this]() -> Result<std::string> {
      STOA_TRY(made, catalog_.create_collection(call_, {"eval", {}, {}}));
      return made.id;
    };
    functions_.remove_collection = [this](const std::string& id) { return catalog_.remove_collection(call_, id); };
    functions_.set_readers = [this](const std::string& id, std::span<const std::size_t> documents, const AccessList& readers) { return ingest_paragraphs(call_, ingest_, id, set_, documents, readers); };
    functions_.search = [this](const std::string& id, const Principal& principal, const std::string& query, data::SearchMode mode, std::size_t k) {
      data::SearchOptions search;
      search.mode = mode;
      return retriever_searcher(Call::of(principal), retriever_, id, search)(query, k);
    };
  }

  const QuestionSet set_ = words_set();
  std::unique_ptr<infra::SqlDatabase> sql_ = std::move(*infra::open_memory());
  governance::MemoryProtection protection_{*sql_};
  data::Index index_;
  LetterEmbedder embedder_;
  data::Catalog catalog_{*sql_, protection_.blobs, index_};
  data::Ingest ingest_{catalog_, &embedder_};
  data::Retriever retriever_{catalog_, index_, &embedder_};
  Call call_;
  AccessFunctions functions_;
};

TEST_F(AccessLeakAttacks, SearchShowsNobodyWhatTheyMayNotRead) {
  const auto result = measure_access(call_, set_, call_.principal, functions_, {.triples = 300, .rounds = 3, .twins = 6, .twin_queries = 5});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_TRUE(result->clean()) << (result->leaks.empty() ? "" : result->to_run().questions.front().problem);
  EXPECT_EQ(result->triples, 300u);
  EXPECT_EQ(result->searches, 900u);
  EXPECT_EQ(result->twin_searches, 90u);
  EXPECT_GT(result->passages, 1000u);
  EXPECT_GT(result->visible, result->triples);
  EXPECT_GT(result->invisible, result->triples);
}

TEST_F(AccessLeakAttacks, ALeakIsSeen) {
  // A search with somebody else's rights, and one that tells of what it leaves out.
  const auto honest = functions_.search;
  functions_.search = [&](const std::string& id, const Principal& principal, const std::string& query, data::SearchMode mode, std::size_t k) {
    Principal other = principal;
    other.groups = {"group0", "group1", "group2"};
    return honest(id, other, query, mode, k);
  };
  const auto leaking = measure_access(call_, set_, call_.principal, functions_, {.triples = 60, .rounds = 2, .twins = 0});
  ASSERT_TRUE(leaking) << leaking.error().message;
  EXPECT_FALSE(leaking->clean());
  EXPECT_GT(leaking->leak_rate(), 0);
  EXPECT_FALSE(leaking->to_run().questions.empty());
  std::string first;
  functions_.search = [&](const std::string& id, const Principal& principal, const std::string& query, data::SearchMode mode, std::size_t k) {
    if (first.empty()) first = id;
    auto found = honest(id, principal, query, mode, k);
    if (found && id == first)
      for (FoundItem& item : *found) item.score += 0.001;
    return found;
  };
  const auto observable = measure_access(call_, set_, call_.principal, functions_, {.triples = 1, .rounds = 1, .twins = 4, .twin_queries = 3});
  ASSERT_TRUE(observable) << observable.error().message;
  EXPECT_GT(observable->twin_differences, 0u);
}

TEST(AccessRule, IsThePlainOne) {
  const Principal ann{"user_1", "t", "p", "ann", {"eng", "hr"}, "developer"}, service{"key_1", "t", "p", "", {}, "developer"};
  EXPECT_TRUE(plainly_readable({.is_public = true}, service));
  EXPECT_FALSE(plainly_readable({}, ann));
  EXPECT_TRUE(plainly_readable({.users = {"ann"}}, ann));
  EXPECT_FALSE(plainly_readable({.users = {"bob"}}, ann));
  EXPECT_TRUE(plainly_readable({.groups = {"hr"}}, ann));
  EXPECT_FALSE(plainly_readable({.groups = {"law"}}, ann));
  EXPECT_FALSE(plainly_readable({.users = {""}}, service));
}

}  // namespace
}  // namespace stoa::feedback
