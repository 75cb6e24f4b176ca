#include "gateway/cache/flights.h"

#include "gateway/cache/answer.h"

namespace stoa::gateway {
namespace {

constexpr milliseconds kLook{20};  // between two looks at whether somebody has gone

// What tells of the leader alone.
bool leaders_own(const Error& error) { return error.code == ErrorCode::kCancelled || error.code == ErrorCode::kDeadlineExceeded; }

}  // namespace

bool Flight::add(const ChatDelta& delta) {
  std::lock_guard lock(mutex_);
  if (closed_) return false;
  bytes_ += bytes_of(delta);
  if (bytes_ <= kMaxBytes)
    pieces_.push_back(delta);
  else if (followers_ == 0)
    closed_ = true;  // nobody could follow from the beginning
  more_.notify_all();
  return followers_ > 0;
}

void Flight::end(const Result<ChatOutcome>& outcome) {
  std::lock_guard lock(mutex_);
  closed_ = true;
  outcome_ = outcome;
  more_.notify_all();
}

bool Flight::close_if_alone() {
  std::lock_guard lock(mutex_);
  if (followers_ == 0) closed_ = true;
  return closed_;
}

void Flight::look() {
  if (leader_.cancelled() && close_if_alone()) token_.cancel();
}

bool Flight::join() {
  std::lock_guard lock(mutex_);
  if (closed_ || bytes_ > kMaxBytes || followers_ >= kMaxFollowers) return false;
  ++followers_;
  return true;
}

std::optional<Result<ChatOutcome>> Flight::follow(const Call& call, const models::DeltaSink& sink) {
  std::unique_lock lock(mutex_);
  const auto leave = [&](std::optional<Result<ChatOutcome>> outcome) {
    --followers_;
    return outcome;
  };
  ChatOutcome stopped{.finish = FinishReason::kCancelled, .usage = {}};
  for (std::size_t at = 0;;) {
    while (at < pieces_.size()) {
      const ChatDelta piece = pieces_[at++];
      lock.unlock();
      const bool wanted = sink(piece) && !call.cancel.cancelled();
      lock.lock();
      stopped.usage.completion_tokens += static_cast<std::int64_t>((piece.text.size() + piece.reasoning.size() + 3) / 4);
      if (!wanted) return leave(stopped);
    }
    if (bytes_ > kMaxBytes) return leave(fail(ErrorCode::kUnavailable, "the answer is too long to be shared"));
    if (outcome_) {
      if (!*outcome_ && at == 0 && leaders_own(outcome_->error())) return leave(std::nullopt);
      if (*outcome_ && (*outcome_)->finish == FinishReason::kCancelled && at == 0) return leave(std::nullopt);
      return leave(outcome_);
    }
    if (call.cancel.cancelled()) return leave(stopped);
    if (call.deadline.passed()) return leave(fail(ErrorCode::kDeadlineExceeded, "the answer did not come in time"));
    more_.wait_for(lock, kLook);
  }
}

Flights::~Flights() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (watcher_.joinable()) watcher_.join();
}

Flights::Seat Flights::board(const std::string& key, const Call& call) {
  std::lock_guard lock(mutex_);
  const auto found = flights_.find(key);
  if (found != flights_.end() && found->second->join()) return {found->second, false};
  if (flights_.size() >= kMaxFlights || stopped_) return {};
  auto flight = std::make_shared<Flight>(call.request_id, call.cancel);
  flights_[key] = flight;  // of one that is closed: it goes on for itself
  if (!watcher_.joinable()) watcher_ = std::thread([this] { watch(); });
  changed_.notify_all();
  return {std::move(flight), true};
}

void Flights::land(const std::string& key, const std::shared_ptr<Flight>& flight) {
  std::lock_guard lock(mutex_);
  const auto found = flights_.find(key);
  if (found != flights_.end() && found->second == flight) flights_.erase(found);
}

std::size_t Flights::size() const {
  std::lock_guard lock(mutex_);
  return flights_.size();
}

void Flights::watch() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (flights_.empty()) {
      changed_.wait(lock);
      continue;
    }
    changed_.wait_for(lock, kLook);
    for (const auto& [key, flight] : flights_) flight->look();
  }
}

}  // namespace stoa::gateway
