// Speculation: guessing the next tokens cheaply, so that one step of the model checks several of them at once.
//
// The guesses only decide how many rows a step computes, never what is said: each row's token is drawn from the model's own logits
// with the sequence's own random numbers, exactly as without guesses, and a guess counts only while it equals what was drawn. The
// distribution of answers is therefore the model's, and a seed gives the answer it gives without speculation.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace stoa::models {

// Prompt lookup: finds the latest earlier place where the last tokens of `tokens` stood too (at least 2 of them; of several places
// the one with the longest match, up to 8) and appends what followed there, at most `count` tokens, to `out`. Looks at the last
// 16,384 tokens. Good where answers quote their prompt or repeat themselves.
void look_up_draft(std::span<const std::int32_t> tokens, int count, std::vector<std::int32_t>& out);

// How many tokens it is worth guessing for one sequence, learned from how the last guesses went: twice as many after all were right,
// one more than were right otherwise; none for a while when hardly any are right.
class DraftLength {
 public:
  // At most `most`, 0 while guessing is off.
  int want(int most) const { return pause_ > 0 ? 0 : (length_ < most ? length_ : most); }
  // A step checked `drafted` > 0 tokens, of which the first `accepted` were right.
  void checked(int drafted, int accepted);
  // A step had nothing to check.
  void skipped();

 private:
  static constexpr int kFirst = 4;
  static constexpr int kLongest = 64;      // bound of the doubling; SchedulerOptions::guess_rows is the limit that counts
  static constexpr double kWorthIt = 0.25;  // share of right guesses below which checking costs more than it brings
  static constexpr int kPause = 16;        // steps without guesses, doubled each time up to kLongestPause
  static constexpr int kLongestPause = 256;

  int length_ = kFirst;
  int pause_ = 0, next_pause_ = kPause;
  double rate_ = 0.5;  // moving share of right guesses
};

}  // namespace stoa::models
