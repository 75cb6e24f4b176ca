// Guesses by a smaller model with the same tokens (drafting.h says why they change nothing).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "models/engine/decoder.h"
#include "models/engine/kv_pool.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

// kInvalidArgument unless both vocabularies have the same tokens under the same ids.
Status check_same_tokens(const Tokenizer& model, const Tokenizer& draft);

// Owned by the engine's thread, as its decoder and pool are, which outlive it.
class DraftModel {
 public:
  // What the draft model has read of one sequence.
  struct State {
    std::vector<std::int32_t> read;  // tokens with keys and values in `pages`, guesses that turned out wrong included
    std::vector<PageId> pages;
  };

  // Guesses tokens below `vocabulary` only.
  DraftModel(Decoder& decoder, KvPool& pool, int vocabulary) : decoder_(decoder), pool_(pool), vocabulary_(vocabulary) {}

  // Appends the `count` tokens that the draft model finds likeliest behind `tokens` to `out`: fewer at the end of its context or of its
  // pool, and none while it is still reading: it reads at most kReadAtOnce tokens a call, so that a long prompt stalls nobody.
  void guess(State& state, std::span<const std::int32_t> tokens, int count, std::vector<std::int32_t>& out);
  void release(State& state);

  static constexpr int kReadAtOnce = 256;

 private:
  bool read(State& state, std::span<const std::int32_t> tokens, bool wants_logits);

  Decoder& decoder_;
  KvPool& pool_;
  const int vocabulary_;
  std::span<float> logits_;  // of the last token read
};

}  // namespace stoa::models
