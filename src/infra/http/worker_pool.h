// Threads that run blocking jobs: started when needed up to a limit, with a bounded queue in front.
#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"

namespace stoa::infra {

class WorkerPool {
 public:
  using Job = std::function<void()>;  // does not throw

  WorkerPool(std::size_t threads, std::size_t queue) : limit_(threads), queue_(threads + queue), backlog_(queue) {}
  ~WorkerPool() { stop(); }

  // False when every thread is busy and the queue is full, or after stop().
  bool submit(Job job);
  // Runs what is queued, then ends the threads.
  void stop();
  std::size_t running() const { return running_.load(std::memory_order_relaxed); }

 private:
  void work();

  const std::size_t limit_;
  BoundedQueue<Job> queue_;
  const std::size_t backlog_;
  std::atomic<std::size_t> pending_{0};  // submitted and not yet finished
  std::atomic<std::size_t> running_{0};
  std::mutex mutex_;
  std::vector<std::thread> threads_;
};

}  // namespace stoa::infra
