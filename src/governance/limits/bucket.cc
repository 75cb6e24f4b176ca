#include "governance/limits/bucket.h"

#include <algorithm>

namespace stoa::governance {
namespace {

__extension__ using Wide = __int128;  // an amount of money times a day in microseconds

}  // namespace

void Bucket::drain(std::int64_t amount, Micros period, Micros now) {
  const Micros elapsed = now - at_;
  if (elapsed < 0) return;
  at_ = now;
  if (used_ <= 0) {
    rest_ = 0;
    return;
  }
  const Wide grown = Wide{elapsed} * amount + rest_;
  const Wide back = grown / period;
  if (back >= used_) {
    used_ = 0;
    rest_ = 0;
  } else {
    used_ -= static_cast<std::int64_t>(back);
    rest_ = static_cast<std::int64_t>(grown % period);
  }
}

Micros Bucket::wait(std::int64_t n, std::int64_t amount, Micros period) const {
  const Wide over = Wide{used_} + n - amount;
  if (over <= 0) return 0;
  const Wide wait = (over * period - rest_ + amount - 1) / amount;
  return static_cast<Micros>(std::min<Wide>(wait, INT64_MAX));
}

Micros Bucket::until_empty(std::int64_t amount, Micros period) const { return used_ <= 0 ? 0 : wait(amount, amount, period); }

}  // namespace stoa::governance
