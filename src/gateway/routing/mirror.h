// Requests that are sent to a second target as well, to see how it does; its answers are thrown away. They never slow the ones they are copies of: what
// does not fit into the queue is left out.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "gateway/routing/route_parts.h"

namespace stoa::gateway {

struct MirroredRequest {
  std::string route;
  OpenTarget target;
  Call call;            // of its own: another request id, no trace, no cancellation by the caller
  ChatRequest request;
};

// Thread-safe. What the functions refer to outlives it.
class MirrorPool {
 public:
  struct Parts {
    TargetHealth& health;
    // Calls `ask` between setting money aside and booking what was used; does not call it when the budget is used up. Empty: nothing is booked.
    std::function<void(const MirroredRequest& mirrored, const std::function<Result<ChatOutcome>()>& ask)> account{};
  };
  static constexpr std::size_t kMostWaiting = 64;
  static constexpr int kThreads = 2;
  static constexpr milliseconds kTimeout{120'000};

  explicit MirrorPool(Parts parts);
  ~MirrorPool();  // what waits is left out; what runs is cancelled

  void offer(const std::string& route, const OpenTarget& target, const Call& call, const ChatRequest& request);
  std::int64_t left_out() const { return left_out_.load(std::memory_order_relaxed); }

 private:
  void work();
  void run(const MirroredRequest& mirrored);
  Result<ChatOutcome> ask(const MirroredRequest& mirrored);

  const Parts parts_;
  const CancelToken stop_;
  BoundedQueue<MirroredRequest> waiting_{kMostWaiting};
  std::atomic<std::int64_t> left_out_{0};
  std::vector<std::jthread> threads_;
};

}  // namespace stoa::gateway
