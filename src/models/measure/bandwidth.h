// How fast this machine reads memory right now: the ceiling of decoding, which reads every weight for every token.
#pragma once

#include <chrono>
#include <cstddef>

#include "models/compute/thread_pool.h"

namespace stoa::models {

// Bytes a second that all threads of the pool together read from a buffer much larger than the caches. Each thread reads eight places in
// turn and prefetches ahead of each: one plain stream leaves about a quarter of the bandwidth unused. Takes `bytes` of memory for as long
// as it runs, about `duration`.
double read_bandwidth(ThreadPool& threads, std::chrono::milliseconds duration, std::size_t bytes = std::size_t{256} << 20);

}  // namespace stoa::models
