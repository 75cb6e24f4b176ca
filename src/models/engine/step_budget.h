// How many prompt tokens a step may take on while other sequences decode.
#pragma once

#include <algorithm>
#include <chrono>

namespace stoa::models {

// A chunk of prompt makes everyone in the step wait for it, so its size follows from a time: as many tokens as the last steps with
// chunks say will take `target`. Fixed costs of a step count as part of the cost of its tokens; repeated, this still meets the
// target (with t = a + b n the next chunk is n * target / t, which rests where t = target). At least kLeast: fewer would
// hardly be faster, because a step reads all weights, and prompts always get on; at most `most`.
class StepBudget {
 public:
  StepBudget(std::chrono::milliseconds target, int most)
      : target_micros_(static_cast<double>(target.count()) * 1e3), most_(most), chunk_(std::min(kFirst, static_cast<double>(most))) {}

  int chunk() const { return static_cast<int>(chunk_); }

  // A step computed `prompt` tokens of prompts among `tokens`. Small ones say little about the next.
  void measured(int prompt, int tokens, double micros) {
    if (prompt < kLeast) return;
    const double fits = target_micros_ * tokens / std::max(micros, 1.0);
    chunk_ = std::clamp(chunk_ + kWeight * (fits - chunk_), std::min<double>(kLeast, most_), static_cast<double>(most_));
  }

 private:
  static constexpr double kFirst = 128, kLeast = 16, kWeight = 0.5;

  const double target_micros_;
  const int most_;
  double chunk_;
};

}  // namespace stoa::models
