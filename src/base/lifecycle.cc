#include "base/lifecycle.h"

#include "base/log.h"

namespace stoa {

void Lifecycle::add(Service service) {
  std::lock_guard lock(mutex_);
  services_.push_back(std::move(service));
}

Status Lifecycle::start() {
  for (std::size_t i = 0; i < services_.size(); ++i) {
    if (Status started = services_[i].start(); !started) {
      stop(std::chrono::milliseconds(0));
      return fail(std::move(started).error().in(services_[i].name));
    }
    std::lock_guard lock(mutex_);
    started_ = i + 1;
  }
  return {};
}

void Lifecycle::stop(std::chrono::milliseconds drain) {
  std::size_t count = 0;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    count = std::exchange(started_, 0);
  }
  while (count > 0) {
    const Service& service = services_[--count];
    log(LogLevel::kDebug, "stopping", {{"service", service.name}});
    if (service.stop) service.stop(drain);
  }
}

Status Lifecycle::ready() const {
  std::lock_guard lock(mutex_);
  if (stopping_) return fail(ErrorCode::kUnavailable, "shutting down");
  if (started_ < services_.size()) return fail(ErrorCode::kUnavailable, "{} is starting", services_[started_].name);
  for (const auto& service : services_)
    if (Status ready = service.ready(); !ready) return fail(std::move(ready).error().in(service.name));
  return {};
}

}  // namespace stoa
