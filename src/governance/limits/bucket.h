// What was used of an amount that comes back evenly over a period: a token bucket that is kept by its used part, so that a changed amount holds at once.
// Whole numbers only: what is taken and given back is exact.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace stoa::governance {

// Over any window of length w at most amount + amount * w / period is let in by fits() and take(). Not thread-safe.
class Bucket {
 public:
  // What has come back by `now`. The others work on the state that this leaves; a clock that goes back changes nothing.
  void drain(std::int64_t amount, Micros period, Micros now);

  bool fits(std::int64_t n, std::int64_t amount) const { return used_ + n <= amount; }
  void take(std::int64_t n) { used_ += n; }
  // Of what was taken. Never below nothing: what has come back by itself meanwhile is not given twice.
  void give_back(std::int64_t n) { used_ = used_ > n ? used_ - n : 0; }

  bool begun() const { return at_ > 0; }  // drained before
  std::int64_t used() const { return used_; }  // above the amount when more was used than had been set aside
  std::int64_t left(std::int64_t amount) const { return used_ < amount ? amount - used_ : 0; }
  // Until `n` would fit, and until nothing is used any more.
  Micros wait(std::int64_t n, std::int64_t amount, Micros period) const;
  Micros until_empty(std::int64_t amount, Micros period) const;

 private:
  std::int64_t used_ = 0;
  std::int64_t rest_ = 0;  // of amount * time that has not made a whole one yet, below the period
  Micros at_ = 0;
};

}  // namespace stoa::governance
