#include "gateway/routing/mirror.h"

#include "base/id.h"
#include "base/log.h"
#include "base/scheduling.h"

namespace stoa::gateway {

MirrorPool::MirrorPool(Parts parts) : parts_(std::move(parts)) {
  for (int i = 0; i < kThreads; ++i)
    threads_.emplace_back([this] {
      run_in_background("mirror");
      work();
    });
}

MirrorPool::~MirrorPool() {
  stop_.cancel();
  waiting_.close();
}

void MirrorPool::offer(const std::string& route, const OpenTarget& target, const Call& call, const ChatRequest& request) {
  MirroredRequest copy{.route = route, .target = target, .call = call, .request = request};
  copy.call.request_id = new_id("req");
  copy.call.trace = nullptr;
  copy.call.cancel = stop_;
  copy.call.deadline = Deadline::after(kTimeout);
  copy.request.model = target.target.model;
  copy.request.whole = true;
  if (!waiting_.try_push(std::move(copy))) left_out_.fetch_add(1, std::memory_order_relaxed);
}

void MirrorPool::work() {
  while (auto mirrored = waiting_.pop())
    if (!stop_.cancelled()) run(*mirrored);
}

void MirrorPool::run(const MirroredRequest& mirrored) {
  if (!parts_.health.admits(mirrored.target.key, std::chrono::steady_clock::now())) return;
  const auto ask = [&] { return this->ask(mirrored); };
  if (parts_.account) parts_.account(mirrored, ask);
  else static_cast<void>(ask());
}

Result<ChatOutcome> MirrorPool::ask(const MirroredRequest& mirrored) {
  const auto begun = std::chrono::steady_clock::now();
  parts_.health.begin(mirrored.target.key);
  std::optional<SteadyTime> first;
  auto outcome = mirrored.target.generator->generate(mirrored.call, mirrored.request, [&](const ChatDelta&) {
    if (!first) first = std::chrono::steady_clock::now();
    return true;
  });
  const auto now = std::chrono::steady_clock::now();
  if (outcome && outcome->finish != FinishReason::kError)
    parts_.health.succeeded(mirrored.target.key, std::chrono::duration_cast<milliseconds>(first.value_or(now) - begun), now);
  else
    parts_.health.failed(mirrored.target.key, now);
  return outcome;
}

}  // namespace stoa::gateway
