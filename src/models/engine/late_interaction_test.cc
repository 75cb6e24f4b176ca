#include "models/engine/late_interaction.h"

#include <cmath>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"
#include "models/engine/tiny_bert.h"

namespace stoa::models {
namespace {

// Ids of the tiny vocabulary: a is 5, b is 6, ... between [CLS] 2 and [SEP] 3.
double plain_score(TinyBert& bert, std::vector<std::int32_t> query, std::vector<std::int32_t> document) {
  const auto rows = [&](std::vector<std::int32_t>& tokens) {
    tokens.insert(tokens.begin(), 2);
    tokens.push_back(3);
    auto all = bert.token_rows(tokens);
    return std::vector<TinyBert::Floats>(all.begin() + 1, all.end() - 1);
  };
  double sum = 0;
  const auto asked = rows(query), read = rows(document);
  for (const auto& q : asked) {
    double best = -1;
    for (const auto& d : read) best = std::max(best, std::inner_product(q.begin(), q.end(), d.begin(), 0.0));
    sum += best;
  }
  return sum / static_cast<double>(asked.size());
}

TEST(LateInteraction, EqualsThePlainForward) {
  TinyBert bert("late_interaction");
  ThreadPool threads(2);
  Metrics metrics;
  for (const auto isa : supported_isas()) {
    CpuBackend backend(threads, isa);
    const auto embedder = LocalEmbedder::load(bert.folder, "tiny", {.max_tokens = 32, .batch_tokens = 33}, backend, metrics);  // several batches
    ASSERT_TRUE(embedder) << embedder.error().message;
    LateInteraction reranker((*embedder)->encoder());
    const std::vector<std::string> documents{"c d e", "a b", "z y x w v u t s r q p o n m l k j i h g f e d c b a z y x w v u t s", ""};
    const auto result = reranker.rerank({}, "a b", documents, 0);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->scores.size(), 4u);
    EXPECT_NEAR(data::relevance(result->scores[0]), plain_score(bert, {5, 6}, {7, 8, 9}), 1e-4) << isa_name(isa);
    EXPECT_NEAR(data::relevance(result->scores[1]), 1, 1e-4) << "the same text";
    EXPECT_EQ(result->tokens, (std::vector<int>{5, 4, 32, 2}));
    EXPECT_EQ(result->truncated, 1);
    EXPECT_TRUE(std::isfinite(result->scores[3])) << "an empty document has its special tokens alone";
    const auto cut = reranker.rerank({}, "a b", documents, 1);
    EXPECT_EQ(cut->tokens, (std::vector<int>{3, 3, 3, 2}));
    EXPECT_NEAR(data::relevance(cut->scores[0]), plain_score(bert, {5, 6}, {7}), 1e-4);
    EXPECT_EQ(cut->truncated, 3);
  }
  CpuBackend backend(threads);
  const auto embedder = LocalEmbedder::load(bert.folder, "tiny", {}, backend, metrics);
  LateInteraction reranker((*embedder)->encoder());
  EXPECT_TRUE(reranker.rerank({}, "a", {}, 0)->scores.empty());
  Call call;
  call.cancel.cancel();
  EXPECT_EQ(reranker.rerank(call, "a", std::vector<std::string>{"b"}, 0).error().code, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace stoa::models
