#include "infra/http/worker_pool.h"

#include "base/scheduling.h"

namespace stoa::infra {

bool WorkerPool::submit(Job job) {
  if (pending_.fetch_add(1) >= limit_ + backlog_ || !queue_.try_push(std::move(job))) {
    pending_.fetch_sub(1);
    return false;
  }
  std::lock_guard lock(mutex_);
  // What is pending now, not when this job came: of two that come together one may find the thread of the other.
  if (pending_.load() > threads_.size() && threads_.size() < limit_ && !queue_.closed()) threads_.emplace_back([this] { work(); });
  return true;
}

void WorkerPool::stop() {
  queue_.close();
  std::vector<std::thread> threads;
  {
    std::lock_guard lock(mutex_);
    threads.swap(threads_);
  }
  for (auto& thread : threads) thread.join();
}

void WorkerPool::work() {
  run_promptly("http-worker");
  while (auto job = queue_.pop()) {
    running_.fetch_add(1);
    (*job)();
    *job = nullptr;  // what the job holds is released before the thread counts as free
    running_.fetch_sub(1);
    pending_.fetch_sub(1);
  }
}

}  // namespace stoa::infra
