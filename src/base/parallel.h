// Work in numbered parts by several threads, for as long as it takes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace stoa {

// Calls work(i) for every i below `count`, each once, by up to `threads` threads of which the caller's is one, and returns when all have ended. Parts are begun in their order. After a call that
// gives false no thread goes on to another part, and the whole is false; the first exception of a call ends it likewise, and is thrown here. Where the system gives fewer threads, fewer work.
template <class Work>
bool in_parallel(std::size_t count, int threads, const Work& work) {
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> good = true;
  std::mutex mutex;
  std::exception_ptr thrown;
  const auto run = [&] {
    try {
      for (std::size_t i; good.load(std::memory_order_relaxed) && (i = next.fetch_add(1)) < count;)
        if (!work(i)) good = false;
    } catch (...) {
      good = false;
      const std::lock_guard lock(mutex);
      if (thrown == nullptr) thrown = std::current_exception();
    }
  };
  std::vector<std::jthread> helpers;
  try {
    for (std::size_t n = std::min<std::size_t>(count, static_cast<std::size_t>(std::max(1, threads))); n > 1; --n) helpers.emplace_back(run);
  } catch (const std::system_error&) {
  }
  run();
  helpers.clear();
  if (thrown != nullptr) std::rethrow_exception(thrown);
  return good;
}

}  // namespace stoa
