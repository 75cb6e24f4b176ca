#include "models/compute/thread_pool.h"

#include <algorithm>

namespace stoa::models {

namespace {

// About 20 microseconds of waiting before a thread goes to sleep: longer than the gaps between the operations of one token, short enough
// that an idle engine costs nothing.
constexpr int kSpins = 600;

// Bits of ticket_: region | chunks | claimed.
constexpr int kCountBits = 20;
constexpr std::uint64_t kCountMask = (std::uint64_t{1} << kCountBits) - 1;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  const int count = std::clamp(threads, 1, kMaxThreads);
  workers_.reserve(static_cast<std::size_t>(count - 1));
  for (int i = 1; i < count; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  wake_.fetch_add(1);
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Claims and runs one chunk of the current region; false when none is left. The region's description may be read only after the
// claim: until that chunk is done the region cannot end.
bool ThreadPool::run_one(int thread) {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  std::uint64_t claimed;
  std::uint64_t chunks;
  do {
    claimed = ticket & kCountMask;
    chunks = ticket >> kCountBits & kCountMask;
    if (claimed >= chunks) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  const std::int64_t begin = static_cast<std::int64_t>(claimed) * grain_;
  (*fn_)(begin, std::min(begin + grain_, n_), thread);
  if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<int>(chunks)) done_.notify_one();
  return true;
}

void ThreadPool::work(int thread) {
  while (!stop_.load(std::memory_order_acquire)) {
    const int seen = wake_.load(std::memory_order_acquire);
    while (run_one(thread)) {
    }
    int spins = 0;
    while (wake_.load(std::memory_order_acquire) == seen && spins < kSpins) {
      relax();
      ++spins;
    }
    if (spins == kSpins) wake_.wait(seen, std::memory_order_acquire);
  }
}

void ThreadPool::parallel_for(std::int64_t n, std::int64_t grain, RangeFn fn) {
  if (n <= 0) return;
  grain = std::max({grain, std::int64_t{1}, (n + static_cast<std::int64_t>(kCountMask) - 1) / static_cast<std::int64_t>(kCountMask)});
  const std::int64_t chunks = (n + grain - 1) / grain;
  const std::lock_guard lock(region_);
  if (chunks == 1 || workers_.empty()) {
    fn(0, n, 0);
    return;
  }
  fn_ = &fn;
  n_ = n;
  grain_ = grain;
  done_.store(0, std::memory_order_relaxed);
  const std::uint64_t region = (ticket_.load(std::memory_order_relaxed) >> (2 * kCountBits)) + 1;
  ticket_.store(region << (2 * kCountBits) | static_cast<std::uint64_t>(chunks) << kCountBits, std::memory_order_release);
  wake_.fetch_add(1);
  wake_.notify_all();
  while (run_one(0)) {
  }
  int spins = 0;
  for (int done = done_.load(std::memory_order_acquire); done != static_cast<int>(chunks); done = done_.load(std::memory_order_acquire)) {
    if (spins < kSpins) {
      relax();
      ++spins;
    } else {
      done_.wait(done, std::memory_order_acquire);
    }
  }
}

}  // namespace stoa::models
