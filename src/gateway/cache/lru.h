// A bounded map that forgets what was used longest ago, and what has expired.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/time.h"

namespace stoa::gateway {

struct LruBounds {
  std::size_t entries = 0, bytes = 0;
};

// Not thread-safe. Pointers to values hold until the next call that changes something.
template <class Value>
class Lru {
 public:
  // Null when it is not there, or has expired.
  Value* find(std::string_view key, Micros now) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    if (found->second->expires <= now) {
      erase(found->second);
      return nullptr;
    }
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->value;
  }

  // In place of one of that key. What is larger than the bounds is not kept.
  void put(std::string key, Value value, std::size_t bytes, Micros expires, const LruBounds& bounds) {
    if (const auto found = index_.find(key); found != index_.end()) erase(found->second);
    bytes += sizeof(Entry) + 2 * key.size();
    const bool fits = bytes <= bounds.bytes && bounds.entries > 0;
    const LruBounds rest{bounds.entries - (fits ? 1 : 0), bounds.bytes - (fits ? bytes : 0)};
    while (!order_.empty() && (order_.size() > rest.entries || bytes_ > rest.bytes)) erase(std::prev(order_.end()));
    if (!fits) return;
    order_.push_front({std::move(key), std::move(value), bytes, expires});
    index_.emplace(order_.front().key, order_.begin());
    bytes_ += bytes;
  }

  // Gives how many were taken away.
  template <class Condition>
  std::size_t erase_if(Condition condition) {
    std::size_t erased = 0;
    for (auto entry = order_.begin(); entry != order_.end();) {
      const auto next = std::next(entry);
      if (condition(entry->key, entry->value)) {
        erase(entry);
        ++erased;
      }
      entry = next;
    }
    return erased;
  }

  std::size_t size() const { return order_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    Value value;
    std::size_t bytes;
    Micros expires;
  };
  using Place = typename std::list<Entry>::iterator;

  void erase(Place place) {
    bytes_ -= place->bytes;
    index_.erase(place->key);
    order_.erase(place);
  }

  std::list<Entry> order_;  // the last used first
  std::unordered_map<std::string_view, Place> index_;  // views keys of `order_`
  std::size_t bytes_ = 0;
};

}  // namespace stoa::gateway
