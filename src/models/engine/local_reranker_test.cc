#include "models/engine/local_reranker.h"

#include <algorithm>
#include <array>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_embedder.h"
#include "models/engine/tiny_bert.h"

namespace stoa::models {
namespace {

using Texts = std::vector<std::string>;

class LocalRerankerTest : public testing::Test {
 protected:
  std::string name() const { return testing::UnitTest::GetInstance()->current_test_info()->name(); }
  std::unique_ptr<LocalReranker> load(const TinyBert& bert, EncoderOptions options = {}) { return load(bert, options, backend_); }
  std::unique_ptr<LocalReranker> load(const TinyBert& bert, const EncoderOptions& options, Backend& backend) {
    auto loaded = LocalReranker::load(bert.folder, "tiny-cross", options, backend, metrics_);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return loaded ? std::move(*loaded) : nullptr;
  }

  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  Metrics metrics_;
};

// Ids of the tiny vocabulary: a is 5, b is 6, ...
TEST_F(LocalRerankerTest, EqualsThePlainForward) {
  struct Case {
    TinyBert::Kind kind;
    std::vector<std::int32_t> middle;
  };
  for (const auto& [kind, middle] : {Case{TinyBert::Kind::kReranker, {3}}, Case{TinyBert::Kind::kRobertaReranker, {3, 3}}}) {
    TinyBert bert(name(), kind);
    const auto score = [&](const std::vector<std::int32_t>& document) {
      std::vector<std::int32_t> tokens = {2, 5, 6};
      tokens.insert(tokens.end(), middle.begin(), middle.end());
      const std::size_t second = tokens.size();
      tokens.insert(tokens.end(), document.begin(), document.end());
      tokens.push_back(3);
      return bert.score(tokens, second);
    };
    for (const auto isa : supported_isas()) {
      CpuBackend backend(threads_, isa);
      EncoderOptions options;
      options.batch_tokens = 45;  // several batches
      const auto reranker = load(bert, options, backend);
      ASSERT_NE(reranker, nullptr);
      const Texts documents = {"c d e", "", "hello", "z", "c d e f g h i j k l m n o p q r s t u v w x y"};
      const auto result = reranker->rerank({}, "a b", documents, 0);
      ASSERT_TRUE(result) << result.error().message;
      EXPECT_NEAR(result->scores[0], score({7, 8, 9}), 1e-4) << isa_name(isa);
      EXPECT_NEAR(result->scores[1], score({}), 1e-4) << isa_name(isa);
      EXPECT_NEAR(result->scores[3], score({30}), 1e-4) << isa_name(isa);
      EXPECT_EQ(result->tokens[0], static_cast<int>(7 + middle.size()));
      EXPECT_EQ(result->truncated, 0);
      EXPECT_GT(result->compute_micros, 0);
      EXPECT_GT(*std::ranges::max_element(result->scores), *std::ranges::min_element(result->scores) + 1e-3f);
    }
  }
}

TEST_F(LocalRerankerTest, ScoresDoNotDependOnTheBatch) {
  TinyBert bert(name(), TinyBert::Kind::kReranker);
  const auto reranker = load(bert);
  ASSERT_NE(reranker, nullptr);
  Texts documents;
  for (int i = 0; i < 40; ++i) documents.push_back(std::string(static_cast<std::size_t>(i % 7), static_cast<char>('a' + i % 26)) + " x y");
  const auto all = reranker->rerank({}, "a b c", documents, 0);
  ASSERT_TRUE(all);
  auto reversed = documents;
  std::ranges::reverse(reversed);
  const auto backwards = reranker->rerank({}, "a b c", reversed, 0);
  ASSERT_TRUE(backwards);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const auto alone = reranker->rerank({}, "a b c", std::span(documents).subspan(i, 1), 0);
    ASSERT_TRUE(alone);
    EXPECT_NEAR(all->scores[i], alone->scores[0], 1e-5) << i;
    EXPECT_NEAR(all->scores[i], backwards->scores[documents.size() - 1 - i], 1e-5) << i;
  }
}

TEST_F(LocalRerankerTest, CutsDocumentsAndRefusesLongQueries) {
  TinyBert bert(name(), TinyBert::Kind::kReranker);
  const auto reranker = load(bert);  // 40 positions
  ASSERT_NE(reranker, nullptr);
  EXPECT_EQ(reranker->max_tokens(), TinyBert::kPositions);
  const std::string words = "a b c d e f g h i j k l m n o p q r s t u v w x y z a b c d e f g h i j k l m n o p q r s t u v w x y z";
  const Texts documents = {words, words.substr(0, 2 * 35), words.substr(0, 3)};
  const auto result = reranker->rerank({}, "a b", documents, 0);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tokens, (std::vector<int>{40, 40, 7}));
  EXPECT_EQ(result->truncated, 1);
  EXPECT_NEAR(result->scores[0], result->scores[1], 1e-5);
  const auto shorter = reranker->rerank({}, "a b", documents, 2);
  ASSERT_TRUE(shorter);
  EXPECT_EQ(shorter->tokens, (std::vector<int>{7, 7, 7}));
  EXPECT_EQ(shorter->truncated, 2);
  EXPECT_NEAR(shorter->scores[0], shorter->scores[2], 1e-5);

  EXPECT_TRUE(reranker->rerank({}, words.substr(0, 2 * 20), documents, 0));
  const auto refused = reranker->rerank({}, words.substr(0, 2 * 21), documents, 0);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(refused.error().param, "query");
}

TEST_F(LocalRerankerTest, StopsForCancellationAndDeadline) {
  TinyBert bert(name(), TinyBert::Kind::kReranker);
  const auto reranker = load(bert);
  ASSERT_NE(reranker, nullptr);
  const Texts documents = {"a"};
  Call cancelled;
  cancelled.cancel.cancel();
  const auto first = reranker->rerank(cancelled, "a", documents, 0);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  Call late;
  late.deadline = Deadline::after(std::chrono::nanoseconds(-1));
  const auto second = reranker->rerank(late, "a", documents, 0);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(LocalRerankerTest, SaysWhyAFolderIsNoReranker) {
  const auto expect = [&](const TinyBert& bert, ErrorCode code, const char* mentions) {
    const auto loaded = LocalReranker::load(bert.folder, "tiny-cross", {}, backend_, metrics_);
    ASSERT_FALSE(loaded) << mentions;
    EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find(mentions), std::string::npos) << loaded.error().message;
  };
  expect(TinyBert(name()), ErrorCode::kUnsupported, "has no classifier");
  TinyBert bert(name(), TinyBert::Kind::kReranker);
  const auto embedder = LocalEmbedder::load(bert.folder, "tiny-cross", {}, backend_, metrics_);
  ASSERT_FALSE(embedder);
  EXPECT_NE(embedder.error().message.find("makes no embeddings"), std::string::npos) << embedder.error().message;
  bert.write_config(3);
  expect(bert, ErrorCode::kUnsupported, "3 classes");
  bert.write_config(1);
  bert.leave_out("classifier.bias");
  expect(bert, ErrorCode::kDataLoss, "classifier.bias is missing");
}

}  // namespace
}  // namespace stoa::models
