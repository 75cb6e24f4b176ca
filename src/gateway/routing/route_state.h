// What a route has learned from its requests. It outlives the route's versions, and is lost with the process.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/time.h"
#include "contracts/chat.h"

namespace stoa::gateway {

// Allows something for a part of the requests, and a few times a second besides, so that a route with little traffic is not left without. As the retry
// budgets of Finagle: when everything fails, the load on what is left grows by that part at most. Thread-safe.
class PartBudget {
 public:
  explicit PartBudget(double per_second) : per_second_(per_second) {}
  void add(int percent);       // one more request, that percentage of which may
  bool take(SteadyTime now);

 private:
  static constexpr double kMost = 100, kMostReserve = 10;
  const double per_second_;
  std::mutex mutex_;
  double balance_ = 1, reserve_ = kMostReserve;
  SteadyTime filled_{};
};

// Which targets were sent which beginnings of prompts lately, and so hold them in their caches. A prompt is cut into blocks; each is known by the hash of
// everything up to its end. Thread-safe.
class PrefixTable {
 public:
  static constexpr std::size_t kBlockBytes = 512, kMostBlocks = 128, kMostKnown = 8192;  // of a prompt; of a target

  // `salt` keeps callers apart who do not share caches.
  static std::vector<std::uint64_t> blocks(const ChatRequest& request, std::string_view salt);
  // How many of the blocks, from the first, the target was sent.
  std::size_t matched(std::string_view target, const std::vector<std::uint64_t>& blocks) const;
  void sent(std::string_view target, const std::vector<std::uint64_t>& blocks);

 private:
  struct Known {
    std::list<std::uint64_t> recent;  // the last one sent first
    std::unordered_map<std::uint64_t, std::list<std::uint64_t>::iterator> places;
  };
  mutable std::mutex mutex_;
  std::map<std::string, Known, std::less<>> targets_;
};

class RouteState {
 public:
  PartBudget& retries() { return retries_; }
  PartBudget& hedges() { return hedges_; }
  PrefixTable& prefixes() { return prefixes_; }
  // What answers of this route have needed of a target so far: the usage that is expected of the next. Thread-safe.
  void served(std::string_view target, const Usage& usage);
  Usage expected(std::string_view target) const;

 private:
  static constexpr double kWeight = 0.05;  // of the latest in the means
  struct Mean {
    double completion = 256, compute_micros = 1e6;
  };
  PartBudget retries_{3}, hedges_{0};
  PrefixTable prefixes_;
  mutable std::mutex mutex_;
  std::map<std::string, Mean, std::less<>> means_;
};

}  // namespace stoa::gateway
