#include "models/engine/local_generator.h"

#include <atomic>
#include <fstream>
#include <thread>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/tiny_model.h"

namespace stoa::models {
namespace {

using std::chrono::milliseconds;

// A generator over a tiny random model. Its greedy answers are noise, but always the same noise.
class LocalGeneratorTest : public testing::Test {
 protected:
  void load(EngineOptions options = {}, const TinyModel& model = {}) {
    const auto path = std::filesystem::path(testing::TempDir()) /
                      ("tiny_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()) + ".gguf");
    const auto bytes = model.build();
    std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    auto loaded = LocalGenerator::load(path, "tiny", options, backend_, metrics_);
    ASSERT_TRUE(loaded) << loaded.error().message;
    generator_ = std::move(*loaded);
    std::filesystem::remove(path);  // mapped: it lives on until the generator is gone
  }

  static ChatRequest request(const std::string& prompt, int max_tokens) {
    ChatRequest r;
    r.prompt = prompt;
    r.max_tokens = max_tokens;
    r.ignore_eos = true;
    r.sampling.temperature = 0;
    return r;
  }

  struct Answer {
    Result<ChatOutcome> outcome;
    std::string text;
    std::vector<TokenLogprob> logprobs;
    std::vector<std::string> pieces;
  };
  Answer run(const ChatRequest& r, const Call& call = {}) {
    Answer answer;
    answer.outcome = generator_->generate(call, r, [&](const ChatDelta& delta) {
      answer.text += delta.text;
      answer.pieces.push_back(delta.text);
      answer.logprobs.insert(answer.logprobs.end(), delta.logprobs.begin(), delta.logprobs.end());
      return true;
    });
    return answer;
  }

  double kv_used() { return metrics_.gauge("stoa_engine_kv_used_bytes", "", {{"model", "tiny"}}).value(); }
  double running() { return metrics_.gauge("stoa_engine_running_requests", "", {{"model", "tiny"}}).value(); }
  double preemptions() { return metrics_.counter("stoa_engine_preemptions_total", "", {{"model", "tiny"}}).value(); }
  // Waits for the engine's thread to reach a state; a bound, not a timing.
  template <class Ready>
  static bool eventually(Ready ready) {
    for (int i = 0; i < 2000; ++i) {
      if (ready()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }

  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  Metrics metrics_;
  std::unique_ptr<LocalGenerator> generator_;
};

TEST_F(LocalGeneratorTest, AnswersTheSameAloneAndInABatch) {
  load();
  std::vector<std::string> prompts, alone;
  for (int i = 0; i < 6; ++i) prompts.push_back(std::string(static_cast<std::size_t>(5 + 23 * i), static_cast<char>('a' + i)));
  for (const auto& prompt : prompts) alone.push_back(run(request(prompt, 40)).text);
  std::vector<std::string> together(prompts.size());
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    callers.emplace_back([&, i] { together[i] = run(request(prompts[i], 40)).text; });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(together, alone);
}

TEST_F(LocalGeneratorTest, MeasuresUsageAndKnowsItsModel) {
  load();
  const auto answer = run(request("hello", 12));
  ASSERT_TRUE(answer.outcome) << answer.outcome.error().message;
  EXPECT_EQ(answer.outcome->finish, FinishReason::kLength);
  const auto& usage = answer.outcome->usage;
  EXPECT_EQ(usage.prompt_tokens, 5);
  EXPECT_EQ(usage.completion_tokens, 12);
  EXPECT_GT(usage.compute_micros, 0);
  EXPECT_LE(usage.queue_micros, usage.first_token_micros);
  EXPECT_LE(usage.first_token_micros, usage.total_micros);
  EXPECT_LE(usage.compute_micros, usage.total_micros);
  EXPECT_EQ(generator_->report().architecture, "llama");
  EXPECT_EQ(generator_->report().weight_type, "F32");
  const ModelReport& report = generator_->report();
  ASSERT_EQ(report.tensors.size(), 1u);
  EXPECT_EQ(report.tensors[0].type, "F32");
  EXPECT_GT(report.tensors[0].tensors, 10);
  EXPECT_EQ(report.tensors[0].kernel, backend_.product_kernel(DType::kF32));
  for (const char* what : {"kernels", "weights", "keys and values", "activations", "context", "speculation"}) {
    const auto choice = std::ranges::find(report.choices, what, &ReportedChoice::what);
    ASSERT_NE(choice, report.choices.end()) << what;
    EXPECT_FALSE(choice->value.empty() || choice->why.empty()) << what;
  }
  EXPECT_EQ(generator_->context_length(), 256);
  EXPECT_EQ(*generator_->count_prompt_tokens(request("hello", 1)), 5);
}

TEST_F(LocalGeneratorTest, StreamsWholeCharacters) {
  load();
  SamplingOptions hot;
  hot.seed = 3;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    auto r = request("x", 60);
    r.sampling = hot;
    r.sampling.seed = seed;
    const auto answer = run(r);
    ASSERT_TRUE(answer.outcome);
    for (const auto& piece : answer.pieces) EXPECT_TRUE(is_valid_utf8(piece));
  }
}

TEST_F(LocalGeneratorTest, StopStringsEndTheAnswerAndAreNotShown) {
  load();
  auto r = request("x", 60);
  r.sampling.logit_bias = {{'a', 100.0f}};  // the token of byte 'a' is 97: the answer is aaaa...
  r.stop = {"aaaaa"};
  auto answer = run(r);
  ASSERT_TRUE(answer.outcome);
  EXPECT_EQ(answer.outcome->finish, FinishReason::kStop);
  EXPECT_EQ(answer.text, "");
  EXPECT_EQ(answer.outcome->usage.completion_tokens, 5);
  r.stop = {"b"};
  answer = run(r);
  EXPECT_EQ(answer.text, std::string(60, 'a'));
  EXPECT_EQ(answer.outcome->finish, FinishReason::kLength);
}

TEST_F(LocalGeneratorTest, EndOfTurnStopsUnlessIgnored) {
  load();
  auto r = request("x", 10);
  r.sampling.logit_bias = {{TinyModel::kImEnd, 100.0f}};
  r.ignore_eos = false;
  const auto stopped = run(r);
  ASSERT_TRUE(stopped.outcome);
  EXPECT_EQ(stopped.outcome->finish, FinishReason::kStop);
  EXPECT_EQ(stopped.text, "");
  EXPECT_EQ(stopped.outcome->usage.completion_tokens, 1);
  r.ignore_eos = true;
  EXPECT_EQ(run(r).outcome->usage.completion_tokens, 10);
}

TEST_F(LocalGeneratorTest, SeedsReproduceAndLogprobsAreGiven) {
  load();
  auto r = request("seed", 30);
  r.sampling.temperature = 1;
  r.sampling.seed = 11;
  r.sampling.logprobs = 3;
  const auto first = run(r), again = run(r);
  EXPECT_EQ(first.text, again.text);
  ASSERT_EQ(first.logprobs.size(), 30u);
  for (const auto& logprob : first.logprobs) {
    ASSERT_EQ(logprob.top.size(), 3u);
    EXPECT_LE(logprob.logprob, logprob.top[0].second);
    EXPECT_GE(logprob.top[0].second, logprob.top[2].second);
  }
  r.sampling.seed = 12;
  EXPECT_NE(run(r).text, first.text);
}

TEST_F(LocalGeneratorTest, RefusesWhatCannotBeAnswered) {
  EngineOptions options;
  options.context_length = 100;
  load(options);
  const struct {
    const char* name;
    ChatRequest request;
    ErrorCode code;
    const char* mentions;
  } cases[] = {
      {"too long", request(std::string(100, 'x'), 1), ErrorCode::kTooLarge, "100 tokens, but the model's context is 100 tokens"},
      {"empty", request("", 1), ErrorCode::kInvalidArgument, "empty"},
      {"stop", [] { auto r = request("x", 1); r.stop = {""}; return r; }(), ErrorCode::kInvalidArgument, "stop string"},
      {"option", [] { auto r = request("x", 1); r.sampling.top_p = 2; return r; }(), ErrorCode::kInvalidArgument, "top_p"},
      {"max_tokens", request("x", -1), ErrorCode::kInvalidArgument, "max_tokens"},
  };
  for (const auto& c : cases) {
    const auto answer = run(c.request);
    ASSERT_FALSE(answer.outcome) << c.name;
    EXPECT_EQ(answer.outcome.error().code, c.code) << c.name;
    EXPECT_NE(answer.outcome.error().message.find(c.mentions), std::string::npos) << answer.outcome.error().message;
  }
  // An answer is cut where the context ends.
  const auto cut = run(request(std::string(95, 'x'), 50));
  ASSERT_TRUE(cut.outcome);
  EXPECT_EQ(cut.outcome->usage.completion_tokens, 5);
  EXPECT_EQ(cut.outcome->finish, FinishReason::kLength);
}

TEST_F(LocalGeneratorTest, ASinkThatReturnsFalseFreesItsPages) {
  load();
  int seen = 0;
  const auto outcome = generator_->generate({}, request("x", 200), [&](const ChatDelta&) { return ++seen < 3; });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kCancelled);
  EXPECT_EQ(seen, 3);
  EXPECT_GT(outcome->usage.compute_micros, 0);
  EXPECT_LT(outcome->usage.completion_tokens, 200);
  EXPECT_TRUE(eventually([&] { return kv_used() == 0; }));
}

TEST_F(LocalGeneratorTest, CancellationAndDeadlineEndARunningRequest) {
  EngineOptions options;
  options.scheduler.outbox = 4;  // the reader below takes one delta, so the request waits for it
  load(options);
  for (const bool by_deadline : {false, true}) {
    Call call;
    if (by_deadline) call.deadline = Deadline::after(milliseconds(50));
    const auto outcome = generator_->generate(call, request("x", 200), [&](const ChatDelta&) {
      if (!by_deadline) call.cancel.cancel();
      EXPECT_TRUE(eventually([&] { return running() == 0; }));  // seen without the reader's help
      return true;
    });
    if (by_deadline) {
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, ErrorCode::kDeadlineExceeded);
    } else {
      ASSERT_TRUE(outcome);
      EXPECT_EQ(outcome->finish, FinishReason::kCancelled);
    }
    EXPECT_TRUE(eventually([&] { return kv_used() == 0; }));
  }
}

TEST_F(LocalGeneratorTest, ASlowReaderPausesItsSequenceOnly) {
  EngineOptions options;
  options.scheduler.outbox = 4;
  load(options);
  std::atomic<bool> go{false}, blocked{false};
  std::string slow_text;
  std::thread slow([&] {
    const auto outcome = generator_->generate({}, request("slow", 100), [&](const ChatDelta& delta) {
      blocked = true;
      EXPECT_TRUE(eventually([&] { return go.load(); }));
      slow_text += delta.text;
      return true;
    });
    EXPECT_TRUE(outcome);
  });
  EXPECT_TRUE(eventually([&] { return blocked.load(); }));
  EXPECT_TRUE(run(request("quick", 100)).outcome);  // while the other waits
  go = true;
  slow.join();
  EXPECT_EQ(slow_text, run(request("slow", 100)).text);
}

TEST_F(LocalGeneratorTest, AReaderThatNeverReadsLosesItsRequest) {
  EngineOptions options;
  options.scheduler.outbox = 2;
  options.scheduler.stall_limit = milliseconds(20);
  load(options);
  const auto outcome = generator_->generate({}, request("x", 200), [&](const ChatDelta&) { return eventually([&] { return running() == 0; }); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kDeadlineExceeded);
}

TEST_F(LocalGeneratorTest, AFullQueueRefusesWithAHint) {
  EngineOptions options;
  options.scheduler.slots = 1;
  options.scheduler.queue = 1;
  options.scheduler.outbox = 2;
  load(options);
  std::atomic<bool> go{false}, holds_slot{false};
  std::thread first([&] {
    EXPECT_TRUE(generator_->generate({}, request("a", 50), [&](const ChatDelta&) {
      holds_slot = true;
      return eventually([&] { return go.load(); });
    }));
  });
  EXPECT_TRUE(eventually([&] { return holds_slot.load(); }));
  std::thread second([&] { EXPECT_TRUE(run(request("b", 5)).outcome); });
  EXPECT_TRUE(eventually([&] { return metrics_.gauge("stoa_engine_queue_depth", "", {{"model", "tiny"}}).value() == 1; }));
  const auto third = run(request("c", 5));
  ASSERT_FALSE(third.outcome);
  EXPECT_EQ(third.outcome.error().code, ErrorCode::kResourceExhausted);
  EXPECT_FALSE(third.outcome.error().hint.empty());
  go = true;
  first.join();
  second.join();
}

TEST_F(LocalGeneratorTest, WhenPagesRunOutTheLastComersAreComputedAgain) {
  const KvLayout layout{.layers = 2, .kv_heads = 2, .head_dim = 64, .type = KvType::kF16};
  EngineOptions options;
  options.kv_bytes = layout.page_bytes() * 8;  // 256 tokens for four sequences that grow to 170 each
  load(options);
  std::vector<std::string> alone;
  for (int i = 0; i < 4; ++i) alone.push_back(run(request(std::string(20, static_cast<char>('a' + i)), 150)).text);
  EXPECT_EQ(preemptions(), 0);
  std::vector<std::string> together(alone.size());
  std::vector<std::thread> callers;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    callers.emplace_back([&, i] { together[i] = run(request(std::string(20, static_cast<char>('a' + i)), 150)).text; });
  }
  for (auto& caller : callers) caller.join();
  EXPECT_EQ(together, alone);
  EXPECT_GT(preemptions(), 0);
  EXPECT_TRUE(eventually([&] { return kv_used() == 0; }));
}

TEST_F(LocalGeneratorTest, StopDrainsOrEndsWithUnavailable) {
  load();
  std::thread drained([&] { EXPECT_TRUE(run(request("x", 30)).outcome); });
  EXPECT_TRUE(eventually([&] { return running() > 0 || metrics_.counter("stoa_engine_steps_total", "", {{"model", "tiny"}}).value() > 0; }));
  generator_->stop(milliseconds(10'000));
  drained.join();
  const auto refused = run(request("x", 1));
  ASSERT_FALSE(refused.outcome);
  EXPECT_EQ(refused.outcome.error().code, ErrorCode::kUnavailable);

  EngineOptions options;
  options.scheduler.outbox = 2;
  load(options);
  std::atomic<bool> blocked{false}, stopped{false};
  std::thread cut([&] {
    const auto outcome = generator_->generate({}, request("x", 200), [&](const ChatDelta&) {
      blocked = true;
      return eventually([&] { return stopped.load(); });
    });
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kUnavailable);
  });
  EXPECT_TRUE(eventually([&] { return blocked.load(); }));
  generator_->stop(milliseconds(0));
  stopped = true;
  cut.join();
}

TEST_F(LocalGeneratorTest, ControlTokensInAMessageAreText) {
  load();
  const auto count = [&](const std::string& content) {
    ChatRequest r;
    r.messages = {{"user", content}};
    const auto tokens = generator_->count_prompt_tokens(r);
    EXPECT_TRUE(tokens) << tokens.error().message;
    return *tokens;
  };
  // Byte-level tokens: the text of a control token costs its bytes, not one.
  EXPECT_EQ(count("a<|im_end|>b") - count("ab"), 10);
  EXPECT_EQ(count("<|im_start|>") - count(""), 12);
  EXPECT_EQ(*generator_->count_prompt_tokens(request("a<|im_end|>b", 1)), 3);
}

TEST(LocalGeneratorLoad, NamesAMissingFile) {
  ThreadPool threads(1);
  CpuBackend backend(threads);
  Metrics metrics;
  const auto loaded = LocalGenerator::load("/nowhere/model.gguf", "m", {}, backend, metrics);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kNotFound);
  EXPECT_NE(loaded.error().message.find("/nowhere/model.gguf"), std::string::npos);
}

}  // namespace
}  // namespace stoa::models
