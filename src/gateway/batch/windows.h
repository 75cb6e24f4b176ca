// When the batches of a project may run: times of the day, in UTC. None: always.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace stoa::gateway {

// Minutes of the day, [from, until); over midnight where `until` is not later. Both equal: the whole day.
struct BatchWindow {
  int from = 0, until = 0;
};

class BatchWindows {
 public:
  static constexpr std::size_t kMost = 8;

  // "22:00-06:00", or several with commas between them; empty: always. kInvalidArgument.
  static Result<BatchWindows> parse(std::string_view text);
  std::string text() const;

  bool always() const { return windows_.empty(); }
  bool open(Micros now) const;
  // When the next one opens; `now` while one is open.
  Micros next(Micros now) const;

 private:
  std::vector<BatchWindow> windows_;
};

}  // namespace stoa::gateway
