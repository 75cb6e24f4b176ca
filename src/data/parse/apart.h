// Work in a process of its own, for readers that keep no limits themselves: when they take too much memory or time, or crash, they alone end.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/time.h"

namespace stoa::data {

struct ApartLimits {
  std::size_t memory = 0;  // bytes, beside what this process has
  std::size_t answer = 0;  // bytes
  Deadline deadline;
};

// What `work` returns, computed by a copy of this process that has none of its open files and connections. `work` must need no lock that
// another thread may hold, and logs nothing. kTooLarge (memory, answer), kDeadlineExceeded, kInvalidArgument (it crashed), kUnavailable (no
// process could be made). Thread-safe; the copy ends with the calling thread.
Result<std::string> run_apart(const std::function<std::string()>& work, const ApartLimits& limits);

}  // namespace stoa::data
