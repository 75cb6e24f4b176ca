// Work in numbered parts by several threads, for as long as it takes.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace stoa {

// Calls work(i) for every i below `count`, each once, by up to `threads` threads of which the caller's is one, and returns when all have ended. Parts are begun in their order. Once a call
// gives false no other is begun, and the whole is false. `work` must not throw.
template <class Work>
bool in_parallel(std::size_t count, int threads, const Work& work) {
  std::atomic<std::size_t> next = 0;
  std::atomic<bool> good = true;
  const auto run = [&] {
    for (std::size_t i; good.load(std::memory_order_relaxed) && (i = next.fetch_add(1)) < count;)
      if (!work(i)) good = false;
  };
  std::vector<std::jthread> helpers;
  for (std::size_t n = std::min<std::size_t>(count, static_cast<std::size_t>(std::max(1, threads))); n > 1; --n) helpers.emplace_back(run);
  run();
  helpers.clear();
  return good;
}

}  // namespace stoa
