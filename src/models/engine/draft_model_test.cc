#include "models/engine/draft_model.h"

#include <array>
#include <fstream>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/local_generator.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

class DraftModelTest : public testing::Test {
 protected:
  DraftModelTest() : folder_(std::filesystem::path(testing::TempDir()) / "draft_model") { std::filesystem::create_directories(folder_); }
  ~DraftModelTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path file(const char* name, const TinyModel& model) {
    const auto path = folder_ / name;
    const auto bytes = model.build();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    return path;
  }
  static TinyModel model(std::uint32_t seed) {
    TinyModel m;
    m.width = 128;
    m.heads = 2;
    m.kv_heads = 1;
    m.feed_forward = 128;
    m.seed = seed;
    return m;
  }
  // The text of a prompt without repetitions, with the draft model of `seed` (0: none), and how many guesses were right.
  std::pair<std::string, double> run(std::uint32_t seed, double temperature, std::size_t draft_kv_bytes = std::size_t{1} << 20) {
    Metrics metrics;
    EngineOptions options;
    options.kv_bytes = std::size_t{8} << 20;
    options.draft_kv_bytes = draft_kv_bytes;
    options.scheduler.guess_rows = 9;
    if (seed == 0) {
      options.scheduler.guess_rows = 0;
    } else {
      options.draft_model = file("draft.gguf", model(seed));
    }
    auto generator = LocalGenerator::load(file("model.gguf", model(1)), "m", options, backend_, metrics);
    EXPECT_TRUE(generator) << generator.error().message;
    if (!generator) return {};
    ChatRequest request;
    request.prompt = "The quick brown fox jumps over a lazy dog";
    request.max_tokens = 60;
    request.ignore_eos = true;
    request.sampling.temperature = temperature;
    request.sampling.seed = 5;
    std::string text;
    EXPECT_TRUE((*generator)->generate({}, request, [&](const ChatDelta& delta) {
      text += delta.text;
      return true;
    }));
    return {text, metrics.counter("stoa_engine_accepted_draft_tokens_total", "", {{"model", "m"}}).value()};
  }

  // The seventh token of answers to one prompt with different seeds, by its remainder: independent draws, after up to six guessed tokens.
  static constexpr int kClasses = 8;
  std::array<double, kClasses> seventh_tokens(bool drafting, std::uint64_t first_seed, int answers) {
    Metrics metrics;
    EngineOptions options;
    options.kv_bytes = std::size_t{8} << 20;
    options.scheduler.guess_rows = drafting ? 7 : 0;
    if (drafting) options.draft_model = file("draft.gguf", model(1));
    auto generator = LocalGenerator::load(file("model.gguf", model(1)), "m", options, backend_, metrics);
    EXPECT_TRUE(generator) << generator.error().message;
    std::array<double, kClasses> counts{};
    ChatRequest request;
    request.prompt = "The quick brown fox jumps over a lazy dog";
    request.max_tokens = 7;
    request.ignore_eos = true;
    request.sampling.top_k = 3;
    request.sampling.logprobs = 0;
    for (int i = 0; i < answers; ++i) {
      request.sampling.seed = first_seed + static_cast<std::uint64_t>(i);
      std::int32_t last = 0;
      EXPECT_TRUE((*generator)->generate({}, request, [&](const ChatDelta& delta) {
        if (!delta.logprobs.empty()) last = delta.logprobs.back().token;
        return true;
      }));
      ++counts[static_cast<std::size_t>(last % kClasses)];
    }
    const double right = metrics.counter("stoa_engine_accepted_draft_tokens_total", "", {{"model", "m"}}).value();
    EXPECT_GE(right, drafting ? answers : 0) << "the test needs guesses that are right";
    return counts;
  }

  std::filesystem::path folder_;
  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
};

TEST_F(DraftModelTest, GuessesChangeNothingHoweverGoodTheyAre) {
  const auto plain = run(0, 0);
  const auto itself = run(1, 0), stranger = run(2, 0), starved = run(1, 0, KvLayout{.layers = 2, .kv_heads = 1, .head_dim = 64}.page_bytes());
  EXPECT_EQ(itself.first, plain.first);
  EXPECT_GT(itself.second, 40) << "the model agrees with itself";
  EXPECT_EQ(stranger.first, plain.first);
  EXPECT_LT(stranger.second, itself.second);
  EXPECT_EQ(starved.first, plain.first) << "one page holds less than the prompt: no guesses";
  const auto hot = run(0, 1);
  EXPECT_EQ(run(1, 1).first, hot.first);
  EXPECT_EQ(run(2, 1).first, hot.first);
}

TEST_F(DraftModelTest, TheDistributionOfTokensIsTheModels) {
  // Chi-square of two samples with seeds of their own.
  const auto plain = seventh_tokens(false, 10'000, 500), guessed = seventh_tokens(true, 20'000, 500);
  double chi = 0;
  int classes = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const double both = plain[i] + guessed[i];
    if (both < 10) continue;
    chi += (plain[i] - guessed[i]) * (plain[i] - guessed[i]) / both;
    ++classes;
  }
  EXPECT_GE(classes, 4) << "the test needs different tokens";
  EXPECT_LT(chi, 26.1);  // 8 degrees of freedom, 0.1 %
}

TEST_F(DraftModelTest, ReadsALongPromptInParts) {
  auto long_model = model(1);
  long_model.context_length = 2048;
  const auto bytes = long_model.build();
  const auto gguf = *GgufFile::parse(bytes, "m");
  auto decoder = *Decoder::load(gguf, backend_);
  auto pool = *KvPool::create(decoder.kv_layout(), decoder.kv_layout().page_bytes() * 40);
  DraftModel draft(decoder, pool, TinyModel::kVocabulary);
  std::vector<std::int32_t> tokens;
  for (int i = 0; i < 600; ++i) tokens.push_back(i * i % 251);
  DraftModel::State state;
  std::vector<std::int32_t> guesses;
  draft.guess(state, tokens, 3, guesses);
  draft.guess(state, tokens, 3, guesses);
  EXPECT_TRUE(guesses.empty());
  EXPECT_EQ(state.read.size(), 512u);
  draft.guess(state, tokens, 3, guesses);
  EXPECT_EQ(guesses.size(), 3u);
  EXPECT_EQ(state.read.size(), 602u);
  // A guess that was wrong is forgotten; guesses repeat when the tokens do.
  const auto first = guesses;
  tokens.push_back(first[0]);
  tokens.push_back(first[1] + 1);
  guesses.clear();
  draft.guess(state, tokens, 2, guesses);
  EXPECT_EQ(state.read.size(), 603u);
  EXPECT_TRUE(std::ranges::equal(std::span(state.read).first(602), tokens));
  tokens.resize(600);
  guesses.clear();
  draft.guess(state, tokens, 3, guesses);
  EXPECT_EQ(guesses, first);
  draft.release(state);
  EXPECT_EQ(pool.used_pages(), 0);
}

TEST_F(DraftModelTest, AnotherVocabularyIsRefused) {
  const auto path = file("other.gguf", model(2));
  {
    std::fstream stream(path, std::ios::binary | std::ios::in | std::ios::out);
    std::string bytes((std::istreambuf_iterator<char>(stream)), {});
    const auto at = bytes.find("<|im_start|>");
    ASSERT_NE(at, std::string::npos);
    stream.seekp(static_cast<std::streamoff>(at));
    stream << "<|im_stale|>";
  }
  Metrics metrics;
  EngineOptions options;
  options.kv_bytes = std::size_t{8} << 20;
  options.draft_model = path;
  const auto refused = LocalGenerator::load(file("model.gguf", model(1)), "m", options, backend_, metrics);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.error().message.find("token 256 of the draft model"), std::string::npos) << refused.error().message;
}

}  // namespace
}  // namespace stoa::models
