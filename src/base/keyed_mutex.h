// A mutex for each of many keys; those of other keys are never waited for. Memory is taken for the keys that are locked.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <string>

namespace stoa {

// Thread-safe. Not recursive: who holds a key may not lock it again.
class KeyedMutex {
 private:
  struct Entry {
    std::mutex mutex;
    std::size_t users = 0;  // who hold it or wait for it
  };
  using Entries = std::map<std::string, Entry>;

 public:
  class Lock {
   public:
    Lock(KeyedMutex& mutex, Entries::iterator entry) : mutex_(mutex), entry_(entry) { entry_->second.mutex.lock(); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
    ~Lock() {
      entry_->second.mutex.unlock();
      std::lock_guard lock(mutex_.mutex_);
      if (--entry_->second.users == 0) mutex_.entries_.erase(entry_);
    }

   private:
    KeyedMutex& mutex_;
    const Entries::iterator entry_;
  };

  [[nodiscard]] Lock lock(const std::string& key) {
    std::unique_lock lock(mutex_);
    const auto entry = entries_.try_emplace(key).first;
    ++entry->second.users;
    lock.unlock();
    return Lock(*this, entry);
  }
  std::size_t keys() const {
    std::lock_guard lock(mutex_);
    return entries_.size();
  }

 private:
  mutable std::mutex mutex_;
  Entries entries_;
};

}  // namespace stoa
