// An embedding model for tests: the letters of a text are its meaning.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <utility>

#include "data/index/embedders.h"

namespace stoa::data {

// Equal texts are near, nothing else is promised. Can be told to fail, and to take its time, of which it gives up what the call does not have. Models that know fewer letters have vectors of fewer dimensions.
class LetterEmbedder : public Embedder {
 public:
  explicit LetterEmbedder(std::string name = "letters", char last = 'z') : name_(std::move(name)), letters_(static_cast<std::size_t>(last - 'a') + 1) {}

  Result<Embeddings> embed(const Call& call, std::span<const std::string> texts) override {
    ++batches_;
    if (fail_on_ >= 0 && calls_++ >= fail_on_) return fail(ErrorCode::kUnavailable, "the model is gone");
    if (const milliseconds pause = pause_; pause > milliseconds(0)) {
      const auto until = std::chrono::steady_clock::now() + pause;
      std::this_thread::sleep_until(std::min(call.deadline.at, until));
      if (call.deadline.at < until) return fail(ErrorCode::kDeadlineExceeded, "the deadline passed");
    }
    Embeddings out;
    out.dimensions = dimensions();
    for (const auto& text : texts) {
      std::vector<float> v(letters_, 0.01F);
      for (const char c : text) {
        if (c >= 'a' && static_cast<std::size_t>(c - 'a') < letters_) v[static_cast<std::size_t>(c - 'a')] += 1;
      }
      float norm = 0;
      for (const float x : v) norm += x * x;
      for (const float x : v) out.values.push_back(x / std::sqrt(norm));
      out.tokens.push_back(*count_tokens(text));
    }
    out.compute_micros = 10;
    return out;
  }
  Result<int> count_tokens(const std::string& text) const override { return static_cast<int>(text.size() / 4 + 1); }
  int dimensions() const override { return static_cast<int>(letters_); }
  int max_tokens() const override { return max_tokens_; }
  std::string model() const override { return name_; }

  int fail_on_ = -1, calls_ = 0, max_tokens_ = 256;
  std::atomic<milliseconds> pause_{milliseconds(0)};
  std::atomic<int> batches_ = 0;

 private:
  const std::string name_;
  const std::size_t letters_;
};

// `standard`, and a model "few" that knows half of the letters.
inline Embedders letter_embedders(Embedder& standard) {
  return {&standard, [](const std::string& name) -> Result<std::unique_ptr<Embedder>> {
            if (name != "few") return fail(ErrorCode::kNotFound, "model '{}' is not on this machine", name);
            return std::make_unique<LetterEmbedder>(name, 'm');
          }};
}

}  // namespace stoa::data
