// A fixed set of threads for short parallel regions. A decoder runs a few hundred regions for every token, some of them ten
// microseconds long, so a region allocates nothing, takes no lock a worker waits for, and does not wait for workers that are asleep:
// the caller works too, and a region ends when its chunks are done, whoever did them.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace stoa::models {

// A reference to a callable; it does not own it. `fn(begin, end, thread)`.
class RangeFn {
 public:
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, RangeFn>)
  RangeFn(F&& fn)  // NOLINT: implicit, so that a lambda can be passed in place
      : object_(const_cast<void*>(static_cast<const void*>(&fn))), call_([](void* object, std::int64_t begin, std::int64_t end, int thread) {
          (*static_cast<std::remove_reference_t<F>*>(object))(begin, end, thread);
        }) {}
  void operator()(std::int64_t begin, std::int64_t end, int thread) const { call_(object_, begin, end, thread); }

 private:
  void* object_;
  void (*call_)(void*, std::int64_t, std::int64_t, int);
};

class ThreadPool {
 public:
  static constexpr int kMaxThreads = 256;

  // `threads` counts the caller, so threads - 1 are started; clamped to 1..kMaxThreads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls fn on chunks of at most about `grain` indices that cover 0..n-1 once, and returns when all are done. `thread` is
  // below threads() and no two running calls share one. Regions of different callers run one after the other; fn must not
  // start a region and must not throw. Chunks are handed out first come, first served, which evens out noisy neighbours.
  void parallel_for(std::int64_t n, std::int64_t grain, RangeFn fn);

 private:
  void work(int thread);
  bool run_one(int thread);

  std::mutex region_;
  std::vector<std::thread> workers_;
  // What the current region is; written only while no chunk is outstanding.
  const RangeFn* fn_ = nullptr;
  std::int64_t n_ = 0;
  std::int64_t grain_ = 1;
  // Region number, chunks claimed and chunks in all in one word, so that a claim is one compare-and-swap and a worker that
  // wakes late can never take a chunk of a region that is over.
  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<int> done_{0};
  alignas(64) std::atomic<int> wake_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace stoa::models
