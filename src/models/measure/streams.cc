#include "models/measure/streams.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <thread>

namespace stoa::models {
namespace {

using Clock = std::chrono::steady_clock;

struct Stream {
  std::vector<Clock::time_point> deltas;
  Result<ChatOutcome> outcome = fail(ErrorCode::kInternal, "not run");
};

void run(Generator& generator, const ChatRequest& request, std::latch& all_started, Stream& stream) {
  bool started = false;
  const auto start = [&] {
    started = true;
    all_started.arrive_and_wait();
  };
  stream.outcome = generator.generate({}, request, [&](const ChatDelta&) {
    if (!started) start();
    stream.deltas.push_back(Clock::now());
    return true;
  });
  if (!started) all_started.count_down();  // failed, or said nothing
}

}  // namespace

Result<StreamsMeasured> measure_streams(Generator& generator, std::span<const ChatRequest> requests, int skip) {
  std::vector<Stream> streams(requests.size());
  std::latch all_started(static_cast<std::ptrdiff_t>(requests.size()));
  const auto begin = Clock::now();
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < requests.size(); ++i)
      threads.emplace_back([&, i] { run(generator, requests[i], all_started, streams[i]); });
  }
  StreamsMeasured measured;
  measured.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  auto first = Clock::time_point::min(), last = Clock::time_point::max();
  for (auto& stream : streams) {
    if (!stream.outcome) return fail(stream.outcome.error());
    measured.usages.push_back(stream.outcome->usage);
    if (stream.deltas.size() <= static_cast<std::size_t>(skip))
      return fail(ErrorCode::kInvalidArgument, "an answer has {} pieces, too few to leave out {}", stream.deltas.size(), skip);
    first = std::max(first, stream.deltas[static_cast<std::size_t>(skip)]);
    last = std::min(last, stream.deltas.back());
  }
  for (const auto& stream : streams)
    measured.window_deltas += std::ranges::count_if(stream.deltas, [&](Clock::time_point time) { return time > first && time <= last; });
  measured.window_seconds = std::chrono::duration<double>(last - first).count();
  if (measured.window_seconds <= 0) return fail(ErrorCode::kInvalidArgument, "the answers are too short: one was complete before all had {} pieces", skip);
  return measured;
}

}  // namespace stoa::models
