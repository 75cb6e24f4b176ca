#include "gateway/routing/race.h"

#include <array>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace stoa::gateway {
namespace {

constexpr std::size_t kMostWaiting = 256;   // deltas of one lane
constexpr milliseconds kCancelLook{20};     // the caller's cancellation is a flag that somebody has to look at

class Race {
 public:
  Race(const Call& call, const AskTarget& ask) : call_(call), ask_(ask) {}
  ~Race() {
    for (const Lane& lane : lanes_) lane.stop.cancel();
    for (Lane& lane : lanes_)
      if (lane.thread.joinable()) lane.thread.join();
  }

  void start(std::size_t i, const OpenTarget& target) {
    Lane& lane = lanes_[i];
    lane.target = &target;
    lane.thread = std::thread([this, &lane] {
      Call own = call_;
      own.cancel = lane.stop;
      auto outcome = ask_(*lane.target, own, [&](const ChatDelta& delta) { return push(lane, delta); });
      std::lock_guard lock(mutex_);
      lane.outcome.emplace(std::move(outcome));
      changed_.notify_all();
    });
  }

  // Until a lane has something to hand on or has answered, all lanes that run have failed, or the time is over (nothing). A failed lane is not waited for.
  std::optional<std::size_t> leader(SteadyTime until) {
    std::unique_lock lock(mutex_);
    while (true) {
      relay_cancel();
      bool running = false;
      std::optional<std::size_t> failed;
      for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const Lane& lane = lanes_[i];
        if (lane.target == nullptr) continue;
        if (!lane.deltas.empty() || (lane.outcome && *lane.outcome)) return i;
        if (lane.outcome && !failed) failed = i;
        running = running || !lane.outcome;
      }
      if (!running) return failed;
      if (std::chrono::steady_clock::now() >= until) return std::nullopt;
      changed_.wait_until(lock, std::min(until, std::chrono::steady_clock::now() + kCancelLook));
    }
  }

  Result<ChatOutcome> finish(std::size_t leader, const models::DeltaSink& sink) {
    for (std::size_t i = 0; i < lanes_.size(); ++i)
      if (i != leader) lanes_[i].stop.cancel();
    Lane& lane = lanes_[leader];
    bool wanted = true;
    for (std::unique_lock lock(mutex_);;) {
      relay_cancel();
      if (!lane.deltas.empty()) {
        const ChatDelta delta = std::move(lane.deltas.front());
        lane.deltas.pop_front();
        changed_.notify_all();
        if (!wanted) continue;
        lock.unlock();
        wanted = sink(delta);
        lock.lock();
        if (!wanted) lane.stop.cancel();
      } else if (lane.outcome) {
        break;
      } else {
        changed_.wait_for(lock, kCancelLook);
      }
    }
    return std::move(*lane.outcome);
  }

  // What the other lane did. After it was told to stop.
  std::optional<ChatCharge> charge_of_other(std::size_t leader) {
    Lane& other = lanes_[1 - leader];
    if (other.target == nullptr) return std::nullopt;
    other.thread.join();
    if (!*other.outcome) return std::nullopt;
    return ChatCharge{.target = other.target->target.id(), .what = "hedge", .usage = (**other.outcome).usage};
  }
  const OpenTarget* target(std::size_t i) const { return lanes_[i].target; }

 private:
  struct Lane {
    const OpenTarget* target = nullptr;
    CancelToken stop;
    std::deque<ChatDelta> deltas;
    std::optional<Result<ChatOutcome>> outcome;
    std::thread thread;
  };

  bool push(Lane& lane, const ChatDelta& delta) {
    std::unique_lock lock(mutex_);
    while (lane.deltas.size() >= kMostWaiting && !lane.stop.cancelled()) changed_.wait_for(lock, kCancelLook);
    if (lane.stop.cancelled()) return false;
    lane.deltas.push_back(delta);
    changed_.notify_all();
    return true;
  }

  void relay_cancel() const {
    if (!call_.cancel.cancelled()) return;
    for (const Lane& lane : lanes_) lane.stop.cancel();
  }

  const Call& call_;
  const AskTarget& ask_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Lane, 2> lanes_;
};

}  // namespace

RaceOutcome race_targets(const OpenTarget& first, const std::function<const OpenTarget*()>& second, milliseconds after, const Call& call, const AskTarget& ask, const models::DeltaSink& sink) {
  Race race(call, ask);
  race.start(0, first);
  auto leader = race.leader(std::chrono::steady_clock::now() + after);
  if (!leader) {
    if (const OpenTarget* other = second()) race.start(1, *other);
    leader = race.leader(SteadyTime::max());
  }
  RaceOutcome out{.outcome = race.finish(*leader, sink), .answered = race.target(*leader)};
  auto charge = race.charge_of_other(*leader);
  if (charge && out.outcome) out.outcome->also.push_back(std::move(*charge));
  return out;
}

}  // namespace stoa::gateway
