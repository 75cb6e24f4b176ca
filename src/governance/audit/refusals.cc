#include "governance/audit/refusals.h"

#include "base/log.h"

namespace stoa::governance {
namespace {

constexpr milliseconds kLinger{100}, kPause{1'000};  // for others to come; after a failure
constexpr std::size_t kMaxText = 200;

}  // namespace

RefusalLog::RefusalLog(StrangerLog& strangers, const Clock& clock) : strangers_(strangers), clock_(clock), thread_([this] { run(); }) {}

RefusalLog::~RefusalLog() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  hand_on(std::move(pending_));
}

void RefusalLog::add(std::string_view address, int status, std::string_view resource, std::string_view reason) {
  const std::string_view why = reason.substr(0, kMaxText);
  StrangerAttempts one{.address = std::string(address), .status = status, .resource = std::string(resource.substr(0, kMaxText)),
                       .reason = status == 0 ? std::string(why) : fmt::format("{}: {}", status, why), .time = clock_.now()};
  bool first = false;
  {
    std::lock_guard lock(mutex_);
    first = pending_.empty();
    count(std::move(one));
  }
  if (first) wake_.notify_all();
}

// Under the mutex.
void RefusalLog::count(StrangerAttempts attempts) {
  auto found = pending_.find({attempts.address, attempts.status});
  if (found == pending_.end() && pending_.size() >= kMaxPending) {
    attempts.address.clear();
    found = pending_.find({attempts.address, attempts.status});
  }
  if (found != pending_.end())
    found->second.count += attempts.count;
  else
    pending_.emplace(std::pair(attempts.address, attempts.status), std::move(attempts));
}

// False when some could not be written: they wait again.
bool RefusalLog::hand_on(Pending pending) {
  while (!pending.empty()) {
    if (const auto added = strangers_.add(pending.begin()->second); !added) {
      log_error("refused requests are not counted yet", added.error());
      break;
    }
    pending.erase(pending.begin());
  }
  if (pending.empty()) return true;
  std::lock_guard lock(mutex_);
  for (auto& [key, attempts] : pending) count(std::move(attempts));
  return false;
}

void RefusalLog::run() {
  std::unique_lock lock(mutex_);
  const auto sleep = [&](milliseconds duration) { wake_.wait_until(lock, std::chrono::steady_clock::now() + duration, [this] { return stopping_; }); };
  while (!stopping_) {
    wake_.wait(lock, [this] { return stopping_ || !pending_.empty(); });
    sleep(kLinger);
    if (stopping_) return;
    Pending taken = std::exchange(pending_, {});
    lock.unlock();
    const bool done = hand_on(std::move(taken));
    lock.lock();
    if (!done) sleep(kPause);
  }
}

}  // namespace stoa::governance
