#include "models/engine/drafting.h"

#include <algorithm>
#include <cstddef>

namespace stoa::models {
namespace {

constexpr std::size_t kWindow = 16'384;
constexpr std::size_t kShortest = 2, kLongest = 8;
constexpr double kWeightOfLast = 0.25;  // in the moving share

}  // namespace

void look_up_draft(std::span<const std::int32_t> tokens, int count, std::vector<std::int32_t>& out) {
  if (tokens.size() > kWindow) tokens = tokens.last(kWindow);
  const std::size_t n = tokens.size();
  if (count <= 0 || n < kShortest + 1) return;
  const std::int32_t last = tokens[n - 1];
  std::size_t best = 0, best_end = 0;
  for (std::size_t end = n - 1; end-- > 0;) {
    if (tokens[end] != last) continue;
    std::size_t match = 1;
    while (match < kLongest && match <= end && tokens[end - match] == tokens[n - 1 - match]) ++match;
    if (match <= best) continue;
    best = match;
    best_end = end;
    if (best == kLongest) break;
  }
  if (best < kShortest) return;
  // Beyond the end the guess goes on from itself: what repeats with a period goes on repeating.
  const std::size_t begin = out.size();
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const std::size_t at = best_end + 1 + i;
    out.push_back(at < n ? tokens[at] : out[begin + at - n]);
  }
}

void DraftLength::checked(int drafted, int accepted) {
  rate_ += kWeightOfLast * (static_cast<double>(accepted) / drafted - rate_);
  length_ = accepted == drafted ? std::min(std::max(length_, drafted) * 2, kLongest) : accepted + 1;
  if (rate_ >= kWorthIt) {
    if (accepted > 0) next_pause_ = kPause;
    return;
  }
  pause_ = next_pause_;
  next_pause_ = std::min(2 * next_pause_, kLongestPause);
  rate_ = kWorthIt;  // the next try decides alone
  length_ = 2;
}

void DraftLength::skipped() {
  if (pause_ > 0) --pause_;
}

}  // namespace stoa::models
