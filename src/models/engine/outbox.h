// The bounded channel between the engine's thread and the caller that reads one answer.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::models {

// One producer (the engine) and one consumer (the caller). When it is full the engine leaves the sequence out of its steps until
// the reader has taken something, so a slow reader costs no memory. `on_change` is called by the consumer's side, without locks
// held, to wake the engine.
class Outbox {
 public:
  Outbox(std::size_t capacity, std::function<void()> on_change) : capacity_(capacity), on_change_(std::move(on_change)) {}

  // Producer. Room stays until the producer itself pushes. close() is called once and ends the stream; it never waits.
  bool has_room() const {
    std::lock_guard lock(mutex_);
    return deltas_.size() < capacity_;
  }
  void push(ChatDelta delta) {
    {
      std::lock_guard lock(mutex_);
      deltas_.push_back(std::move(delta));
    }
    changed_.notify_one();
  }
  void close(Result<ChatOutcome> outcome) {
    {
      std::lock_guard lock(mutex_);
      outcome_.emplace(std::move(outcome));
    }
    changed_.notify_one();
  }
  bool abandoned() const {
    std::lock_guard lock(mutex_);
    return abandoned_;
  }

  // Consumer. pop() waits for the next delta; nothing when the stream is closed and read to its end.
  std::optional<ChatDelta> pop() {
    std::optional<ChatDelta> delta;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return !deltas_.empty() || outcome_; });
      if (deltas_.empty()) return delta;
      delta.emplace(std::move(deltas_.front()));
      deltas_.pop_front();
    }
    on_change_();
    return delta;
  }
  // The consumer wants no more; pop() still waits for the engine to close.
  void abandon() {
    {
      std::lock_guard lock(mutex_);
      abandoned_ = true;
      deltas_.clear();
    }
    on_change_();
  }
  // After pop() returned nothing.
  Result<ChatOutcome> outcome() {
    std::lock_guard lock(mutex_);
    return std::move(*outcome_);
  }

 private:
  const std::size_t capacity_;
  const std::function<void()> on_change_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<ChatDelta> deltas_;
  std::optional<Result<ChatOutcome>> outcome_;
  bool abandoned_ = false;
};

}  // namespace stoa::models
