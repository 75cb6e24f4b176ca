#include "models/engine/scheduler.h"

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <numeric>
#include <thread>

#include <gtest/gtest.h>

#include "models/compute/cpu/cpu_backend.h"
#include "models/engine/tiny_model.h"
#include "models/formats/gguf.h"

namespace stoa::models {
namespace {

using std::chrono::milliseconds;
using Tokens = std::vector<std::int32_t>;

Tokens random_tokens(int count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Tokens tokens;
  for (int i = 0; i < count; ++i) tokens.push_back(static_cast<std::int32_t>('a' + random() % 26));
  return tokens;
}

// A scheduler over a tiny random model; its greedy answers are noise, but always the same noise.
class SchedulerTest : public testing::Test {
 protected:
  explicit SchedulerTest(int window = 0) {
    TinyModel model;
    model.window = window;
    model.width = 128;
    model.heads = 2;
    model.kv_heads = 1;
    model.feed_forward = 128;
    model.context_length = 2048;
    bytes_ = model.build();
    file_.emplace(*GgufFile::parse(bytes_, "tiny.gguf"));
    tokenizer_.emplace(*Tokenizer::from_gguf(*file_));
    decoder_.emplace(*Decoder::load(*file_, backend_));
  }
  ~SchedulerTest() override { scheduler_.reset(); }

  void start(const SchedulerOptions& options = {}, int pages = 128) {
    scheduler_.reset();
    metrics_ = std::make_unique<Metrics>();
    pool_.emplace(*KvPool::create(decoder_->kv_layout(), decoder_->kv_layout().page_bytes() * static_cast<std::size_t>(pages)));
    scheduler_.emplace(*decoder_, *pool_, *tokenizer_, options, *metrics_, "tiny");
  }

  static Generation greedy(Tokens prompt, int max_tokens, const std::string& tenant = "t") {
    Generation g;
    g.tenant = tenant;
    g.prompt = std::move(prompt);
    g.max_tokens = max_tokens;
    g.ignore_eos = true;
    g.sampling.temperature = 0;
    return g;
  }

  struct Answer {
    Result<ChatOutcome> outcome;
    std::string text;
  };
  static Answer read(Outbox& outbox) {
    Answer answer;
    while (const auto delta = outbox.pop()) answer.text += delta->text;
    answer.outcome = outbox.outcome();
    return answer;
  }
  Answer run(Generation generation) {
    auto outbox = scheduler_->submit(std::move(generation));
    if (!outbox) return {fail(outbox.error()), ""};
    return read(**outbox);
  }

  double value(const char* name) { return metrics_->counter(name, "", {{"model", "tiny"}}).value(); }
  double gauge(const char* name) { return metrics_->gauge(name, "", {{"model", "tiny"}}).value(); }
  bool idle() {
    return eventually([&] { return gauge("stoa_engine_running_requests") == 0; });
  }
  template <class Ready>
  static bool eventually(Ready ready) {
    for (int i = 0; i < 4000; ++i) {
      if (ready()) return true;
      std::this_thread::sleep_for(milliseconds(5));
    }
    return false;
  }

  std::vector<std::byte> bytes_;
  ThreadPool threads_{2};
  CpuBackend backend_{threads_};
  std::optional<GgufFile> file_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<Decoder> decoder_;
  std::unique_ptr<Metrics> metrics_;
  std::optional<KvPool> pool_;
  std::optional<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, ACommonPrefixIsComputedOnceAndChangesNothing) {
  Tokens shared = random_tokens(300, 1);
  std::vector<Tokens> prompts;
  for (std::uint32_t i = 0; i < 4; ++i) {
    prompts.push_back(shared);
    const auto own = random_tokens(20, 100 + i);
    prompts.back().insert(prompts.back().end(), own.begin(), own.end());
  }
  SchedulerOptions off;
  off.cached_share = 0;
  start(off);
  std::vector<std::string> expected;
  for (const auto& prompt : prompts) {
    const auto answer = run(greedy(prompt, 60));
    EXPECT_EQ(answer.outcome->usage.cached_tokens, 0);
    expected.push_back(answer.text);
  }
  EXPECT_EQ(value("stoa_engine_prompt_tokens_total"), 4 * 320);
  start();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto answer = run(greedy(prompts[i], 60));
    ASSERT_TRUE(answer.outcome);
    EXPECT_EQ(answer.text, expected[i]);
    EXPECT_EQ(answer.outcome->usage.cached_tokens, i == 0 ? 0 : 288);
  }
  EXPECT_EQ(value("stoa_engine_prompt_tokens_total"), 320 + 3 * 32);
  EXPECT_EQ(value("stoa_engine_prefix_cache_queries_total"), 4 * 320);
  EXPECT_EQ(value("stoa_engine_prefix_cache_hits_total"), 3 * 288);
  EXPECT_EQ(run(greedy(prompts[0], 60, "another tenant")).outcome->usage.cached_tokens, 0);
  EXPECT_TRUE(eventually([&] { return gauge("stoa_engine_kv_used_bytes") == 0; }));
  EXPECT_GT(gauge("stoa_engine_kv_cached_bytes"), 0);
}

TEST_F(SchedulerTest, TheNextTurnOfAConversationFindsTheAnswerToo) {
  start();
  Tokens conversation = random_tokens(50, 2);
  const auto tokens_of = [&](Generation g) {
    g.sampling.logprobs = 0;
    Tokens tokens;
    const auto stream = *scheduler_->submit(std::move(g));
    while (const auto delta = stream->pop()) {
      for (const auto& logprob : delta->logprobs) tokens.push_back(logprob.token);
    }
    return tokens;
  };
  const auto answer = tokens_of(greedy(conversation, 100));
  ASSERT_EQ(answer.size(), 100u);
  conversation.insert(conversation.end(), answer.begin(), answer.end());
  conversation.push_back('?');  // 149 of its 151 tokens have keys and values: the last of the answer was never fed back
  EXPECT_EQ(run(greedy(conversation, 4)).outcome->usage.cached_tokens, 128);
}

TEST_F(SchedulerTest, SeveralAnswersToOnePromptShareItWhileTheyRun) {
  start();
  const Tokens prompt = random_tokens(700, 3);  // more than one step
  std::vector<std::shared_ptr<Outbox>> streams;
  for (std::uint64_t i = 0; i < 4; ++i) {
    auto g = greedy(prompt, 30);
    g.sampling.temperature = 1;
    g.seed = 7 + i;
    streams.push_back(*scheduler_->submit(g));
  }
  std::vector<std::string> together;
  for (const auto& stream : streams) together.push_back(read(*stream).text);
  // All but the beginning of the last page was computed for one of them only.
  EXPECT_LE(value("stoa_engine_prompt_tokens_total"), 700 + 3 * 28);
  EXPECT_NE(together[0], together[1]);
  for (std::uint64_t i = 0; i < 4; ++i) {
    auto g = greedy(prompt, 30);
    g.sampling.temperature = 1;
    g.seed = 7 + i;
    EXPECT_EQ(run(std::move(g)).text, together[i]) << "a seed gives its answer alone and beside others";
  }
}

TEST_F(SchedulerTest, CachedPagesMakeWayForRequests) {
  start({}, 16);  // 512 tokens
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto answer = run(greedy(random_tokens(200 + static_cast<int>(i), i), 40));
    ASSERT_TRUE(answer.outcome) << answer.outcome.error().message;
  }
  EXPECT_EQ(value("stoa_engine_preemptions_total"), 0);
  const auto whole = run(greedy(random_tokens(400, 77), 112));
  ASSERT_TRUE(whole.outcome) << "the whole pool, all of which was cached";
  EXPECT_EQ(whole.outcome->usage.completion_tokens, 112);
}

class WindowedScheduler : public SchedulerTest {
 protected:
  WindowedScheduler() : SchedulerTest(40) {}
};

TEST_F(WindowedScheduler, HoldsThePagesOfTheWindowOnly) {
  constexpr int kStreams = 8, kPages = 32;
  start({}, 256);
  std::vector<std::string> expected;
  for (std::uint32_t i = 0; i < kStreams; ++i) expected.push_back(run(greedy(random_tokens(20, i), 400)).text);
  for (const double cached_share : {1.0, 0.0}) {
    SchedulerOptions options;
    options.cached_share = cached_share;
    options.guess_rows = 0;
    start(options, kPages);  // whole sequences would take 14 pages each; a window takes at most three
    std::vector<std::shared_ptr<Outbox>> streams;
    for (std::uint32_t i = 0; i < kStreams; ++i) streams.push_back(*scheduler_->submit(greedy(random_tokens(20, i), 400)));
    for (std::size_t i = 0; i < kStreams; ++i) EXPECT_EQ(read(*streams[i]).text, expected[i]) << i;
    EXPECT_EQ(value("stoa_engine_preemptions_total"), 0);
    EXPECT_TRUE(eventually([&] { return gauge("stoa_engine_kv_used_bytes") == 0; }));
  }
}

TEST_F(WindowedScheduler, FindsAPrefixWhosePagesInTheWindowAreThere) {
  start({}, 16);
  Tokens prompt = random_tokens(500, 5);
  const auto first = run(greedy(prompt, 4));
  prompt.push_back('?');
  const auto next = run(greedy(prompt, 4));
  EXPECT_EQ(next.outcome->usage.cached_tokens, 480);
  SchedulerOptions off;
  off.cached_share = 0;
  start(off, 16);
  EXPECT_EQ(run(greedy(prompt, 4)).text, next.text);
}

TEST_F(SchedulerTest, ARequestBeyondThePoolIsRefusedAtOnce) {
  start({}, 4);
  const auto answer = run(greedy(random_tokens(100, 1), 29));
  ASSERT_FALSE(answer.outcome);
  EXPECT_EQ(answer.outcome.error().code, ErrorCode::kTooLarge);
  EXPECT_NE(answer.outcome.error().message.find("need 129 tokens, but a request has room for 128"), std::string::npos);
  EXPECT_TRUE(run(greedy(random_tokens(100, 1), 28)).outcome);
}

TEST_F(SchedulerTest, SpeculationChangesNoGreedyText) {
  std::vector<Tokens> prompts;
  for (std::uint32_t i = 0; i < 6; ++i) {
    Tokens prompt = random_tokens(15, i);
    for (int repeat = 0; repeat < 3; ++repeat) prompt.insert(prompt.end(), prompt.begin(), prompt.begin() + 15);
    prompts.push_back(prompt);
  }
  SchedulerOptions plain;
  plain.guess_rows = 0;
  start(plain);
  std::vector<std::string> expected;
  for (const auto& prompt : prompts) expected.push_back(run(greedy(prompt, 150)).text);
  EXPECT_EQ(value("stoa_engine_draft_tokens_total"), 0);
  SchedulerOptions guessing;
  guessing.guess_rows = 9;
  start(guessing);
  for (std::size_t i = 0; i < prompts.size(); ++i) EXPECT_EQ(run(greedy(prompts[i], 150)).text, expected[i]);
  // Greedy noise ends in a loop, which is easy to guess.
  EXPECT_GT(value("stoa_engine_accepted_draft_tokens_total"), 50);
  EXPECT_LT(value("stoa_engine_steps_total"), 6 * 150 - value("stoa_engine_accepted_draft_tokens_total") + 20);
}

// The model is made to choose among four letters, so that guesses from the prompt are often right and often wrong.
class SpeculatedSampling : public SchedulerTest {
 protected:
  static constexpr int kLetters = 4, kLength = 24;

  static Generation letters(std::uint64_t seed) {
    Generation g;
    g.prompt = Tokens{'a', 'b', 'c', 'd', 'a', 'b', 'c', 'd', 'a', 'c'};
    g.max_tokens = kLength;
    g.ignore_eos = true;
    g.seed = seed;
    for (int i = 0; i < kLetters; ++i) g.sampling.logit_bias['a' + i] = 90;
    return g;
  }
  std::vector<std::string> texts(std::uint64_t first, int count, int guess_rows) {
    SchedulerOptions options;
    options.guess_rows = guess_rows;
    start(options);
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(run(letters(first + static_cast<std::uint64_t>(i))).text);
    return out;
  }
};

TEST_F(SpeculatedSampling, ASeedGivesTheAnswerItGivesWithoutGuesses) {
  const auto plain = texts(1, 100, 0), guessed = texts(1, 100, 7);
  EXPECT_EQ(plain, guessed);
  EXPECT_GT(value("stoa_engine_draft_tokens_total"), 200);
  EXPECT_GT(value("stoa_engine_accepted_draft_tokens_total"), 50);
}

TEST_F(SpeculatedSampling, TheDistributionOfTokensIsTheModels) {
  // Pairs of neighbouring letters, at every place, of different seeds with and without guesses: chi-square of two samples.
  constexpr int kSeeds = 400;
  const auto count = [](const std::vector<std::string>& all) {
    std::array<double, kLetters * kLetters> counts{};
    for (const auto& text : all) {
      for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        ++counts[static_cast<std::size_t>((text[i] - 'a') * kLetters + (text[i + 1] - 'a'))];
      }
    }
    return counts;
  };
  const auto plain = count(texts(10'000, kSeeds, 0)), guessed = count(texts(20'000, kSeeds, 7));
  double chi = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    ASSERT_GT(plain[i] + guessed[i], 10) << "the test needs all pairs";
    chi += (plain[i] - guessed[i]) * (plain[i] - guessed[i]) / (plain[i] + guessed[i]);
  }
  EXPECT_LT(chi, 37.7);  // 15 degrees of freedom, 0.1 %
}

// Fills the only slot with a request that waits for its reader; release() lets it end.
class BusySlot {
 public:
  BusySlot(Scheduler& scheduler, const Generation& generation) : stream_(*scheduler.submit(generation)) {}
  Result<ChatOutcome> release() {
    while (stream_->pop()) {
    }
    return stream_->outcome();
  }

 private:
  std::shared_ptr<Outbox> stream_;
};

class OneSlot : public SchedulerTest {
 protected:
  void start_one(int queue = 64) {
    SchedulerOptions options;
    options.slots = 1;
    options.queue = queue;
    options.outbox = 2;
    options.guess_rows = 0;
    options.reader_patience = milliseconds(600'000);
    start(options);
  }
  // Names of the requests in the order in which they ended by the engine's clock: when their readers wake up says nothing on a busy machine.
  std::vector<std::string> order_of(std::vector<std::pair<std::string, Generation>> requests, BusySlot& slot) {
    std::map<SteadyTime, std::string> ended;
    std::mutex mutex;
    std::vector<std::jthread> readers;
    double waiting = gauge("stoa_engine_queue_depth");
    for (auto& [name, generation] : requests) {
      const auto submitted = std::chrono::steady_clock::now();
      auto stream = scheduler_->submit(generation);
      EXPECT_TRUE(stream) << stream.error().message;
      readers.emplace_back([&, name = name, submitted, stream = *stream] {
        const auto answer = read(*stream);
        ASSERT_TRUE(answer.outcome);
        std::lock_guard lock(mutex);
        ended[submitted + std::chrono::microseconds(answer.outcome->usage.total_micros)] = name;
      });
    }
    EXPECT_TRUE(eventually([&] { return gauge("stoa_engine_queue_depth") >= waiting + static_cast<double>(requests.size()) - 1; }));
    EXPECT_TRUE(slot.release());
    readers.clear();
    std::vector<std::string> order;
    for (const auto& [at, name] : ended) order.push_back(name);
    return order;
  }
};

TEST_F(OneSlot, TenantsTakeTurns) {
  start_one();
  BusySlot slot(*scheduler_, greedy(random_tokens(5, 1), 40, "other"));
  ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
  // Long answers: the readers see them end in the order of service.
  std::vector<std::pair<std::string, Generation>> requests;
  for (const char* name : {"a1", "a2", "a3", "b1"}) requests.emplace_back(name, greedy(random_tokens(40, 9), 60, std::string(1, name[0])));
  EXPECT_EQ(order_of(std::move(requests), slot), (std::vector<std::string>{"a1", "b1", "a2", "a3"}));
}

TEST_F(OneSlot, AHigherPriorityTakesTheSlot) {
  start_one();
  const auto expected = run(greedy(random_tokens(80, 1), 40)).text;
  ASSERT_TRUE(idle());
  const auto low = *scheduler_->submit(greedy(random_tokens(80, 1), 40));
  ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
  auto urgent = greedy(random_tokens(5, 2), 5);
  urgent.priority = 1;
  EXPECT_TRUE(run(std::move(urgent)).outcome) << "while the other holds the slot and its reader sleeps";
  EXPECT_EQ(value("stoa_engine_preemptions_total"), 1);
  EXPECT_EQ(read(*low).text, expected);
}

TEST_F(OneSlot, AReaderThatDoesNotReadStallsNobodyElse) {
  SchedulerOptions options;
  options.slots = 1;
  options.outbox = 4;
  options.guess_rows = 0;
  options.reader_patience = milliseconds(20);
  start(options);
  const auto whole = run(greedy(random_tokens(80, 5), 60));
  auto unread = scheduler_->submit(greedy(random_tokens(80, 5), 60));
  ASSERT_TRUE(unread);
  ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(run(greedy(random_tokens(40, 6), 30)).outcome);  // each takes the only slot
  EXPECT_GE(value("stoa_engine_preemptions_total"), 1);
  EXPECT_TRUE(eventually([&] { return gauge("stoa_engine_kv_used_bytes") == 0; }));
  // And loses nothing: whoever reads again gets the rest.
  const auto late = read(**unread);
  ASSERT_TRUE(late.outcome) << late.outcome.error().message;
  EXPECT_EQ(late.text, whole.text);
  // One that waits without a slot ends like any other.
  auto given_up = scheduler_->submit(greedy(random_tokens(80, 7), 60));
  ASSERT_TRUE(given_up);
  EXPECT_TRUE(run(greedy(random_tokens(40, 8), 30)).outcome);
  (*given_up)->abandon();
  EXPECT_TRUE(read(**given_up).outcome);
  auto at_the_end = scheduler_->submit(greedy(random_tokens(80, 9), 60));
  ASSERT_TRUE(at_the_end);
  EXPECT_TRUE(run(greedy(random_tokens(40, 10), 30)).outcome);
  scheduler_->stop(milliseconds(0));
  EXPECT_EQ(read(**at_the_end).outcome.error().code, ErrorCode::kUnavailable);
}

TEST_F(OneSlot, RefusesWhatWouldWaitTooLong) {
  start_one();
  {
    BusySlot slow(*scheduler_, greedy(random_tokens(5, 1), 40));
    ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
    std::this_thread::sleep_for(milliseconds(600));  // what the estimate is made of: the time in a slot
    EXPECT_TRUE(slow.release());
    ASSERT_TRUE(idle());
  }
  BusySlot slot(*scheduler_, greedy(random_tokens(5, 1), 40));
  ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
  auto hurried = greedy(random_tokens(5, 2), 5);
  hurried.deadline = Deadline::after(milliseconds(300));
  const auto refused = scheduler_->submit(hurried);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  EXPECT_GE(refused.error().retry_after, 1);
  hurried.deadline = Deadline::after(std::chrono::seconds(100));
  const auto accepted = scheduler_->submit(hurried);
  ASSERT_TRUE(accepted);
  EXPECT_TRUE(slot.release());
  EXPECT_TRUE(read(**accepted).outcome);
}

TEST_F(OneSlot, AFullQueueLetsAnotherTenantIn) {
  start_one(2);
  BusySlot slot(*scheduler_, greedy(random_tokens(5, 1), 40));
  ASSERT_TRUE(eventually([&] { return gauge("stoa_engine_running_requests") == 1; }));
  const auto first = scheduler_->submit(greedy(random_tokens(5, 2), 5, "a")), second = scheduler_->submit(greedy(random_tokens(5, 3), 5, "a"));
  ASSERT_TRUE(first && second);
  const auto third = scheduler_->submit(greedy(random_tokens(5, 4), 5, "a"));
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, ErrorCode::kResourceExhausted);
  EXPECT_GE(third.error().retry_after, 1);
  const auto other = scheduler_->submit(greedy(random_tokens(5, 5), 5, "b"));
  ASSERT_TRUE(other);
  const auto displaced = read(**second);
  ASSERT_FALSE(displaced.outcome);
  EXPECT_EQ(displaced.outcome.error().code, ErrorCode::kResourceExhausted);
  EXPECT_TRUE(slot.release());
  EXPECT_TRUE(read(**first).outcome);
  EXPECT_TRUE(read(**other).outcome);
}

TEST_F(SchedulerTest, CountsPromptsPrefixesAndTokens) {
  start();
  ASSERT_TRUE(run(greedy(random_tokens(100, 1), 10)).outcome);
  ASSERT_TRUE(run(greedy(random_tokens(100, 1), 10)).outcome);
  EXPECT_EQ(value("stoa_engine_admitted_prompt_tokens_total"), 200);
  EXPECT_EQ(value("stoa_engine_generated_tokens_total"), 20);
  EXPECT_EQ(value("stoa_engine_prefix_cache_queries_total"), 200);
  EXPECT_EQ(value("stoa_engine_prefix_cache_hits_total"), 96);
  const auto counts = metrics_->histogram("gen_ai_server_time_to_first_token_seconds", "", {}, {{"model", "tiny"}}).counts();
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}), 2u);
}

}  // namespace
}  // namespace stoa::models
