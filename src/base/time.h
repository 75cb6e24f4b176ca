// Clocks, deadlines and cancellation. Wall time is UTC microseconds; durations and deadlines use the steady clock.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa {

using Micros = std::int64_t;  // microseconds since 1970-01-01T00:00:00Z
using SteadyTime = std::chrono::steady_clock::time_point;
using std::chrono::milliseconds;

// A clock as an argument, so that tests can move time. Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Micros now() const = 0;
  static const Clock& system();
};

std::string to_rfc3339(Micros time);                    // "2026-11-21T04:07:00.123456Z"
Result<Micros> parse_rfc3339(std::string_view text);

// Shared flag: one side asks to stop, the other looks. Copies share the flag. Thread-safe.
class CancelToken {
 public:
  CancelToken() : flag_(std::make_shared<std::atomic<bool>>(false)) {}
  void cancel() const { flag_->store(true, std::memory_order_release); }
  bool cancelled() const { return flag_->load(std::memory_order_acquire); }

 private:
  std::shared_ptr<std::atomic<bool>> flag_;
};

// A point in time after which a call gives up. Every blocking call takes one.
struct Deadline {
  SteadyTime at = SteadyTime::max();
  static Deadline after(std::chrono::nanoseconds duration) { return {std::chrono::steady_clock::now() + duration}; }
  bool passed() const { return at != SteadyTime::max() && std::chrono::steady_clock::now() >= at; }
};

}  // namespace stoa
