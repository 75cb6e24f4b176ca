// From a row of logits to the next token.
//
// Order of the stages (a stage at its neutral value does nothing):
//   1. log-probabilities are taken of the model's own distribution, before any of the following (as OpenAI reports them);
//   2. what a constraint does not allow is banned, so that everything below works on what may follow; logit_bias is added; a bias of
//      -100 or less bans the token;
//   3. repetition penalty over the last 64 tokens, prompt included: a positive logit is divided by it, a negative one multiplied;
//   4. presence and frequency penalties over the generated tokens: logit -= presence * (count > 0) + frequency * count;
//   5. temperature 0 takes the largest logit (the lowest id among equals) and ends here; otherwise logits are divided by it;
//   6. top_k keeps the k largest; 7. min_p keeps what has at least min_p of the largest probability;
//   8. top_p keeps the smallest set of most likely tokens that holds at least top_p of the mass that is left;
//   9. one draw from what is left.
// Random numbers: draw i (from 0) of seed s is splitmix64(s + (i + 1) * 0x9e3779b97f4a7c15), its upper 53 bits as a fraction of 1.
// The same logits and seed therefore give the same tokens on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::models {

class GrammarMatcher;

// kInvalidArgument with `param` set when an option is out of its range; `vocabulary` bounds the ids of logit_bias.
Status check_sampling(const SamplingOptions& options, std::int32_t vocabulary);

struct TokenChance {
  std::int32_t token = 0;
  float logprob = 0;
};

struct SampledToken {
  std::int32_t token = 0;
  float logprob = 0;              // only with options.logprobs >= 0
  std::vector<TokenChance> top;   // options.logprobs of them, most likely first
};

// State of one sequence: its penalties' counts and its random numbers. One thread at a time.
class Sampler {
 public:
  static constexpr int kRepetitionWindow = 64;
  static constexpr int kMaxLogprobs = 20;

  // `seed` is what the draws start from (options.seed, or a random one chosen by the caller).
  Sampler(const SamplingOptions& options, std::uint64_t seed, std::span<const std::int32_t> prompt);

  // Chooses the next token. `logits` is one value for each token of the vocabulary and is used as scratch space. Nothing when `matcher`
  // (null: any token may follow), perhaps together with logit_bias, leaves no token.
  std::optional<SampledToken> sample(std::span<float> logits, GrammarMatcher* matcher = nullptr);
  // Tells which token was appended to the sequence.
  void accept(std::int32_t token);

 private:
  void add_logprobs(std::span<const float> logits, std::vector<TokenChance>& top, float& log_sum) const;
  void adjust(std::span<float> logits) const;
  bool choose(std::span<float> logits, GrammarMatcher* matcher, std::int32_t& token);
  std::int32_t draw(std::span<const float> logits);
  double next_uniform();

  SamplingOptions options_;
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  std::vector<std::int32_t> recent_;                       // ring of the last kRepetitionWindow tokens
  std::size_t recent_next_ = 0;
  std::unordered_map<std::int32_t, int> generated_;        // counts, kept only when a penalty needs them
  std::vector<std::pair<float, std::int32_t>> candidates_;  // scratch of draw()
  std::vector<std::uint64_t> allowed_;                      // scratch of choose()
};

}  // namespace stoa::models
