#include "models/measure/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <vector>

namespace stoa::models {
namespace {

constexpr std::size_t kLine = 64, kStreams = 8, kAhead = 16 * kLine;
constexpr std::size_t kPiece = std::size_t{4} << 20;  // of one chunk of a region

// The sum of all words, so that no read can be left out.
std::uint64_t read(const std::byte* data) {
  constexpr std::size_t kStride = kPiece / kStreams;
  std::uint64_t sums[kLine / sizeof(std::uint64_t)] = {};
  for (std::size_t at = 0; at < kStride; at += kLine) {
    for (std::size_t stream = 0; stream < kStreams; ++stream) {
      const std::byte* line = data + stream * kStride + at;
      __builtin_prefetch(line + kAhead);
      std::uint64_t words[std::size(sums)];
      std::memcpy(words, line, kLine);
      for (std::size_t i = 0; i < std::size(sums); ++i) sums[i] += words[i];
    }
  }
  std::uint64_t sum = 0;
  for (const auto part : sums) sum += part;
  return sum;
}

}  // namespace

double read_bandwidth(ThreadPool& threads, std::chrono::milliseconds duration, std::size_t bytes) {
  using Clock = std::chrono::steady_clock;
  const std::size_t pieces = std::max<std::size_t>(1, bytes / kPiece);
  // Not zeros: the system backs untouched memory with one page of them.
  const std::vector<std::uint64_t> buffer((pieces * kPiece + kAhead) / sizeof(std::uint64_t), 0x9e3779b97f4a7c15u);
  const auto* data = reinterpret_cast<const std::byte*>(buffer.data());
  std::atomic<std::uint64_t> sink = 0;
  double best = 0;
  const auto end = Clock::now() + duration;
  do {
    const auto begin = Clock::now();
    threads.parallel_for(static_cast<std::int64_t>(pieces), 1, [&](std::int64_t first, std::int64_t last, int) {
      for (; first < last; ++first) sink += read(data + static_cast<std::size_t>(first) * kPiece);
    });
    best = std::max(best, static_cast<double>(pieces * kPiece) / std::chrono::duration<double>(Clock::now() - begin).count());
  } while (Clock::now() < end);
  return best;
}

}  // namespace stoa::models
