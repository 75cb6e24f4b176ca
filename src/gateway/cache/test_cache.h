// For tests of the module: a cache with a model and an embedder that say how often they were asked.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <condition_variable>
#include <thread>

#include "gateway/cache/cache.h"
#include "infra/sql/sql.h"

namespace stoa::gateway {

inline constexpr Micros kSecond = 1'000'000;

// In cache_test.cc: headers know no adapter, and no place of files.
std::unique_ptr<infra::SqlDatabase> memory_database();
std::unique_ptr<governance::Access> roles_of_tests();

class TestClock final : public Clock {
 public:
  Micros now() const override { return now_.load(); }
  void pass(Micros time) { now_ += time; }

 private:
  std::atomic<Micros> now_{1'700'000'000 * kSecond};
};

// Answers with what it was asked and how often it was asked anything, one character at a time; waits where it is told to.
class Model final : public models::Generator {
 public:
  Result<ChatOutcome> generate(const Call& call, const ChatRequest& request, const models::DeltaSink& sink) override {
    const int n = ++asked;
    ChatOutcome outcome{.finish = FinishReason::kStop, .usage = {.prompt_tokens = 7, .completion_tokens = 3, .compute_micros = 11}};
    outcome.target = "up/big";
    const std::string text = fmt::format("{} #{}", request.messages.empty() ? request.prompt : request.messages.back().content, n);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i == 1) hold(call);
      if (call.cancel.cancelled()) {
        outcome.finish = FinishReason::kCancelled;
        return outcome;
      }
      if (fails && i == 0) return fail(ErrorCode::kUnavailable, "down");
      if (breaks && i == 2) {
        outcome.finish = FinishReason::kError;
        outcome.failure = error(ErrorCode::kUnavailable, "broke");
        return outcome;
      }
      if (!sink({.text = std::string(1, text[i]), .logprobs = {{.token = static_cast<int>(i), .text = "t", .logprob = -1, .top = {{"u", -2.F}}}}})) {
        outcome.finish = FinishReason::kCancelled;
        return outcome;
      }
    }
    if (calls_tool) {
      sink({.text = "", .logprobs = {}, .reasoning = "", .tool_calls = {{.index = 0, .id = "call_1", .name = "f", .arguments = "{\"a\""}}});
      sink({.text = "", .logprobs = {}, .reasoning = "", .tool_calls = {{.index = 0, .id = "", .name = "", .arguments = ":1}"}}});
      outcome.finish = FinishReason::kToolCalls;
    }
    return outcome;
  }
  Result<std::int64_t> count_prompt_tokens(const ChatRequest&) const override { return 7; }
  int context_length() const override { return 100; }
  std::vector<std::string> targets() const override { return of_route ? std::vector<std::string>{"up/big", "up/small"} : std::vector<std::string>{}; }

  void open() {
    std::lock_guard lock(mutex_);
    held_ = false;
    opened_.notify_all();
  }
  void hold_all() { held_ = true; }

  std::atomic<int> asked = 0;
  bool fails = false, breaks = false, calls_tool = false, of_route = false;

 private:
  void hold(const Call& call) {
    std::unique_lock lock(mutex_);
    while (held_ && !call.cancel.cancelled()) opened_.wait_for(lock, milliseconds(5));
  }
  std::mutex mutex_;
  std::condition_variable opened_;
  std::atomic<bool> held_ = false;
};

// Vectors of letters: texts with the same ones are alike.
class Letters final : public data::Embedder {
 public:
  Result<data::Embeddings> embed(const Call&, std::span<const std::string> texts) override {
    asked += static_cast<int>(texts.size());
    data::Embeddings out{.dimensions = 26, .values = {}, .tokens = {}, .compute_micros = 5};
    for (const std::string& text : texts) {
      std::vector<float> counts(26);
      for (const char c : text)
        if (c >= 'a' && c <= 'z') ++counts[static_cast<std::size_t>(c - 'a')];
      float length = 0;
      for (const float x : counts) length += x * x;
      for (const float x : counts) out.values.push_back(length > 0 ? x / std::sqrt(length) : 0);
      out.tokens.push_back(static_cast<int>(text.size()));
    }
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size()); }
  int dimensions() const override { return 26; }
  int max_tokens() const override { return 64; }
  std::string model() const override { return "letters"; }

  std::atomic<int> asked = 0;
};

struct Heard {
  std::string text, arguments, tool;
  std::size_t pieces = 0, logprobs = 0;
  Result<ChatOutcome> outcome;
  std::string kind() const { return outcome && outcome->cache ? outcome->cache->kind : ""; }
};

class CacheTest : public testing::Test {
 protected:
  static Call call(std::string project = "proj_a", std::string request = "req_1", std::string role = "admin") {
    Principal principal;
    principal.id = "user_ann";
    principal.tenant = "tenant_t";
    principal.project = std::move(project);
    principal.role = std::move(role);
    Call made = Call::of(principal);
    made.request_id = std::move(request);
    return made;
  }
  static ChatRequest question(std::string text = "hi") {
    ChatRequest request;
    request.model = "m";
    request.messages = {{.role = "system", .content = "be kind"}, {.role = "user", .content = std::move(text)}};
    request.sampling.temperature = 0;
    return request;
  }
  void set(const std::string& text, const std::string& project = "proj_a") {
    const auto stored = cache_->texts().set(call(project), {.name = "cache", .text = text, .comment = {}});
    ASSERT_TRUE(stored) << stored.error().message;
  }
  Heard ask(const Call& who, const ChatRequest& request, const CacheUse& use = {}) { return ask(*cache_->wrap(model_, who.principal.project, "", use), who, request); }
  static Heard ask(models::Generator& generator, const Call& who, const ChatRequest& request, const std::function<bool()>& more = {}) {
    Heard heard;
    heard.outcome = generator.generate(who, request, [&](const ChatDelta& delta) {
      heard.text += delta.text;
      ++heard.pieces;
      heard.logprobs += delta.logprobs.size();
      for (const auto& part : delta.tool_calls) {
        heard.tool += part.id + part.name;
        heard.arguments += part.arguments;
      }
      return !more || more();
    });
    return heard;
  }

  TestClock clock_;
  Metrics metrics_;
  std::unique_ptr<infra::SqlDatabase> database_ = memory_database();
  std::unique_ptr<governance::AuditLog> audit_ = *governance::AuditLog::open(*database_);
  std::unique_ptr<governance::Access> access_ = roles_of_tests();
  Letters letters_;
  std::string forbidden_;
  std::shared_ptr<Model> model_ = std::make_shared<Model>();
  std::unique_ptr<Cache> cache_ = *Cache::open({.database = *database_, .audit = *audit_, .access = *access_, .metrics = metrics_, .clock = clock_,
                                                .permits = [this](const Call&, const std::string& target) { return target != forbidden_; }, .embedder = &letters_});
};

}  // namespace stoa::gateway
