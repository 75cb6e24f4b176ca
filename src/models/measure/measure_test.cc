#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "models/measure/bandwidth.h"
#include "models/measure/engine_speed.h"
#include "models/measure/streams.h"

namespace stoa::models {
namespace {

// Says `max_tokens` words, or fails where the prompt says so. Counts how many answers run at once.
class Talker final : public Generator {
 public:
  Result<ChatOutcome> generate(const Call&, const ChatRequest& request, const DeltaSink& sink) override {
    if (request.prompt == "fail") return fail(ErrorCode::kUnavailable, "no");
    ++running_;
    ChatOutcome outcome;
    for (int i = 0; i < request.max_tokens; ++i) {
      sink({.text = "word ", .logprobs = {}});
      std::this_thread::sleep_for(std::chrono::microseconds(200));  // so that all answers move on alike
      most_ = std::max(most_.load(), running_.load());
      ++outcome.usage.completion_tokens;
    }
    --running_;
    return outcome;
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest& request) const override {
    return static_cast<std::int64_t>(std::ranges::count(request.prompt, ' '));
  }
  int context_length() const override { return 4096; }

  std::atomic<int> running_ = 0, most_ = 0;
};

ChatRequest asking(std::string prompt, int tokens) {
  ChatRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = tokens;
  return request;
}

TEST(Streams, AllRunTogetherInTheWindow) {
  Talker talker;
  const std::vector<ChatRequest> requests(6, asking("x", 2000));
  const auto measured = measure_streams(talker, requests, 5);
  ASSERT_TRUE(measured) << measured.error().message;
  EXPECT_EQ(talker.most_, 6);
  EXPECT_EQ(measured->usages.size(), 6u);
  EXPECT_EQ(measured->usages[3].completion_tokens, 2000);
  EXPECT_LE(measured->window_deltas, 6 * 1995);
  EXPECT_LE(measured->window_seconds, measured->seconds);
}

TEST(Streams, AFailureIsReturnedAndHoldsNobody) {
  Talker talker;
  const auto failed = measure_streams(talker, std::vector{asking("x", 40), asking("fail", 40), asking("x", 40)}, 5);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kUnavailable);
  EXPECT_FALSE(measure_streams(talker, std::vector{asking("x", 4)}, 5)) << "an answer shorter than what is left out";
}

TEST(Texts, HaveTheLengthAskedForAndDiffer) {
  const Talker talker;
  for (const int tokens : {1, 16, 512}) EXPECT_EQ(talker.count_prompt_tokens(asking(text_of(talker, tokens, 3).value(), 1)).value(), std::max(tokens, 1));
  EXPECT_NE(text_of(talker, 64, 1).value(), text_of(talker, 64, 2).value());
}

TEST(Bandwidth, IsAPositiveNumber) {
  ThreadPool threads(2);
  EXPECT_GT(read_bandwidth(threads, std::chrono::milliseconds(1), 8 << 20), 0);
}

}  // namespace
}  // namespace stoa::models
