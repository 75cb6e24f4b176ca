// What caches had of a call: told before its answer begins, so that the edge can show it in the head of the response.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "contracts/chat.h"

namespace stoa {

// Thread-safe: alternatives of one answer run at once. Of several, one that was generated counts before those that were not.
class CacheNote {
 public:
  struct State {
    std::string key;               // by which the entry can be purged
    std::optional<CacheHit> hit;   // absent: nothing was found
  };

  void found(std::string key, CacheHit hit) {
    std::lock_guard lock(mutex_);
    if (!state_) state_ = State{std::move(key), std::move(hit)};
  }
  void missed(std::string key) {
    std::lock_guard lock(mutex_);
    if (!state_ || state_->hit) state_ = State{std::move(key), {}};
  }
  // Absent: no cache was asked.
  std::optional<State> state() const {
    std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  mutable std::mutex mutex_;
  std::optional<State> state_;
};

// What caches may do for a request, and where they tell of it.
struct CacheUse {
  bool read = true;           // the answer may be one that was made before
  bool write = true;          // the answer may be kept
  CacheNote* note = nullptr;  // may be null; outlives the request
};

}  // namespace stoa
