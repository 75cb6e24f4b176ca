// How the targets of routes have been doing, to choose among them: the time to the first piece of an answer (peak EWMA), how many requests are under way,
// and a circuit breaker that leaves a target alone for a while after failures in a row.
//
// Peak EWMA (as in Finagle and Linkerd): a slower time than the mean counts at once, a faster one by exp(-elapsed / kDecay). The cost of one more
// request is the mean times those under way and one.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "base/time.h"
#include "gateway/routing/route.h"

namespace stoa::gateway {

// What tells a target from others: models of this server are the same for all projects, those of providers are the project's.
std::string target_key(std::string_view project, const RouteTarget& target);

struct TargetState {
  double first_micros = 0;   // to the first piece of an answer, mean; 0: not known yet
  int under_way = 0;
  int failures = 0;          // in a row
  bool open = false;         // left alone at present
  double availability = 1;   // part of the latest requests that did not fail, each counting for kWeight
  std::int64_t requests = 0, failed = 0;  // since the start
};

// Thread-safe. Targets are named by whatever tells them apart; at most kMaxTargets are remembered, then those without requests under way are forgotten.
class TargetHealth {
 public:
  static constexpr int kFailures = 5;                        // in a row open the breaker
  static constexpr milliseconds kFirstPause{1'000};          // doubles with each further failure
  static constexpr milliseconds kMostPause{60'000};
  static constexpr milliseconds kDecay{10'000};
  static constexpr double kWeight = 0.05;
  static constexpr std::size_t kMaxTargets = 4096;
  static constexpr milliseconds kFairTime{1'000};            // at least, and kFairTimes of the mean time to the first piece
  static constexpr int kFairTimes = 4;

  using Now = SteadyTime;

  void begin(std::string_view target);
  // Of a request that began: ok, and after how long its first piece came; or it failed in a way that tells of the target.
  void succeeded(std::string_view target, milliseconds first, Now now);
  void failed(std::string_view target, Now now);
  // It ended in a way that tells nothing of the target: cancelled, or the caller's mistake.
  void ended(std::string_view target);

  // Whether a request may be sent. When the pause of an open breaker is over, one request is let through to try; the others wait for how it goes.
  bool admits(std::string_view target, Now now);
  // What one more request is expected to take, in microseconds; 0 for a target that is not known.
  double cost(std::string_view target) const;
  TargetState state(std::string_view target, Now now) const;
  // How long a target must have had before it tells of it that nothing came in a caller's time.
  milliseconds fair_time(std::string_view target) const;

 private:
  struct Entry {
    TargetState state;
    Now changed{};    // of first_micros
    Now closed{};     // when an open breaker lets one try
    bool trying = false;
  };
  Entry& entry(std::string_view target);

  mutable std::mutex mutex_;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace stoa::gateway
