#include "models/engine/local_embedder.h"

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/tiny_bert.h"

namespace stoa::models {
namespace {

constexpr int kWidth = TinyBert::kWidth, kPositions = TinyBert::kPositions;

class LocalEmbedderTest : public testing::Test {
 protected:
  TinyBert bert_{testing::UnitTest::GetInstance()->current_test_info()->name()};
  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  Metrics metrics_;
};

TEST_F(LocalEmbedderTest, EqualsThePlainForwardInAnyBatch) {
  for (const auto isa : supported_isas()) {
    CpuBackend backend(threads_, isa);
    EncoderOptions options;
    options.batch_tokens = 45;  // several batches
    auto embedder = LocalEmbedder::load(bert_.folder, "tiny-bert", options, backend, metrics_);
    ASSERT_TRUE(embedder) << embedder.error().message;
    EXPECT_EQ((*embedder)->dimensions(), kWidth);
    EXPECT_EQ((*embedder)->max_tokens(), kPositions);
    const std::vector<std::string> texts = {"a b c", "", "hello world", std::string(200, 'x').replace(50, 1, " "), "z y x w v u t s r q p o n m l k j", "A B c"};
    const auto result = (*embedder)->embed({}, texts);
    ASSERT_TRUE(result) << result.error().message;
    ASSERT_EQ(result->tokens.size(), texts.size());
    EXPECT_EQ(result->tokens[0], 5);
    EXPECT_EQ(result->tokens[1], 2);
    EXPECT_GT(result->compute_micros, 0);
    const auto row = [&](std::size_t i) { return std::span(result->values).subspan(i * kWidth, kWidth); };
    const auto compare = [&](std::size_t i, const std::vector<std::int32_t>& tokens) {
      const auto expected = bert_.embedding(tokens);
      for (std::size_t d = 0; d < kWidth; ++d) EXPECT_NEAR(row(i)[d], expected[d], 1e-4) << isa_name(isa) << " text " << i << " dimension " << d;
    };
    compare(0, {2, 5, 6, 7, 3});
    compare(1, {2, 3});
    EXPECT_EQ(std::vector<float>(row(0).begin(), row(0).end()), std::vector<float>(row(5).begin(), row(5).end()));  // lower-cased
  }
}

TEST_F(LocalEmbedderTest, ReadsAsMuchAsItsFolderSays) {
  const auto load = [&](const EncoderOptions& options = {}) { return LocalEmbedder::load(bert_.folder, "tiny-bert", options, backend_, metrics_); };
  for (const auto& [text, tokens] : std::vector<std::pair<std::string, int>>{
           {R"({"max_seq_length": 12, "do_lower_case": false})", 12}, {R"({"max_seq_length": 5000})", kPositions}, {R"({"max_seq_length": null})", kPositions}, {"{}", kPositions}}) {
    bert_.write("sentence_bert_config.json", text);
    const auto embedder = load();
    ASSERT_TRUE(embedder) << text << embedder.error().message;
    EXPECT_EQ((*embedder)->max_tokens(), tokens) << text;
    EXPECT_EQ((*load({.max_tokens = 9}))->max_tokens(), 9) << "who asks decides";
  }
  for (const char* text : {"", "[]", R"({"max_seq_length": "many"})", R"({"max_seq_length": 0})", R"({"max_seq_length": 1e9})"}) {
    bert_.write("sentence_bert_config.json", text);
    const auto embedder = load();
    ASSERT_FALSE(embedder) << text;
    EXPECT_NE(embedder.error().message.find("sentence_bert_config.json"), std::string::npos);
  }
}

TEST_F(LocalEmbedderTest, CutsLongTextsAndKeepsTheEnd) {
  EncoderOptions options;
  options.max_tokens = 6;
  auto embedder = LocalEmbedder::load(bert_.folder, "tiny-bert", options, backend_, metrics_);
  ASSERT_TRUE(embedder) << embedder.error().message;
  const std::vector<std::string> texts = {"a b c d", "a b c d e f g"};
  const auto result = (*embedder)->embed({}, texts);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tokens, std::vector<int>({6, 6}));
  EXPECT_EQ(*(*embedder)->count_tokens(texts[1]), 9);
  for (std::size_t d = 0; d < kWidth; ++d) EXPECT_EQ(result->values[d], result->values[kWidth + d]);
}

TEST_F(LocalEmbedderTest, StopsForCancellationAndDeadline) {
  auto embedder = LocalEmbedder::load(bert_.folder, "tiny-bert", {}, backend_, metrics_);
  ASSERT_TRUE(embedder);
  const std::vector<std::string> texts = {"a"};
  Call cancelled;
  cancelled.cancel.cancel();
  const auto first = (*embedder)->embed(cancelled, texts);
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().code, ErrorCode::kCancelled);
  Call late;
  late.deadline = Deadline::after(std::chrono::nanoseconds(-1));
  const auto second = (*embedder)->embed(late, texts);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(LocalEmbedderTest, NamesWhatIsWrongWithAFolder) {
  const auto expect = [&](ErrorCode code, const char* mentions) {
    const auto loaded = LocalEmbedder::load(bert_.folder, "tiny-bert", {}, backend_, metrics_);
    ASSERT_FALSE(loaded) << mentions;
    EXPECT_EQ(loaded.error().code, code) << loaded.error().message;
    EXPECT_NE(loaded.error().message.find(mentions), std::string::npos) << loaded.error().message;
  };
  bert_.leave_out("encoder.layer.1.output.dense.bias");
  expect(ErrorCode::kDataLoss, "encoder.layer.1.output.dense.bias is missing");
  std::filesystem::remove(bert_.folder / "model.safetensors");
  expect(ErrorCode::kNotFound, "model.safetensors");
  std::filesystem::remove(bert_.folder / "config.json");
  expect(ErrorCode::kNotFound, "config.json");
}

}  // namespace
}  // namespace stoa::models
