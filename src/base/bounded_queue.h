// A queue with a limit, between threads. Producers learn that it is full instead of growing it; close() wakes everyone.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "base/time.h"

namespace stoa {

// Thread-safe, any number of producers and consumers, first in first out.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // False when full or closed; the value is then untouched.
  bool try_push(T&& value) {
    {
      std::lock_guard lock(mutex_);
      if (closed_ || items_.size() >= capacity_) return false;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return true;
  }

  // Waits for room until the deadline. False when closed or late.
  bool push(T value, Deadline deadline = {}) {
    {
      std::unique_lock lock(mutex_);
      if (!wait(not_full_, lock, deadline, [&] { return closed_ || items_.size() < capacity_; }) || closed_) return false;
      items_.push_back(std::move(value));
    }
    not_empty_.notify_one();
    return true;
  }

  // Waits for an item until the deadline. Nothing when late, or when closed and drained.
  std::optional<T> pop(Deadline deadline = {}) {
    std::optional<T> value;
    {
      std::unique_lock lock(mutex_);
      if (!wait(not_empty_, lock, deadline, [&] { return closed_ || !items_.empty(); }) || items_.empty()) return std::nullopt;
      value.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return value;
  }

  std::optional<T> try_pop() {
    std::optional<T> value;
    {
      std::lock_guard lock(mutex_);
      if (items_.empty()) return std::nullopt;
      value.emplace(std::move(items_.front()));
      items_.pop_front();
    }
    not_full_.notify_one();
    return value;
  }

  // No more pushes; what is queued can still be popped.
  void close() {
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    not_empty_.notify_all();
    not_full_.notify_all();
  }

  std::size_t size() const {
    std::lock_guard lock(mutex_);
    return items_.size();
  }
  bool closed() const {
    std::lock_guard lock(mutex_);
    return closed_;
  }

 private:
  template <class Ready>
  static bool wait(std::condition_variable& condition, std::unique_lock<std::mutex>& lock, Deadline deadline, Ready ready) {
    if (deadline.at == SteadyTime::max()) {
      condition.wait(lock, ready);
      return true;
    }
    return condition.wait_until(lock, deadline.at, ready);
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace stoa
