#include "infra/http/responder.h"

#include <utility>

namespace stoa::infra {

void MemoryResponder::send(HttpResponse response) {
  std::lock_guard lock(mutex_);
  if (state_ != State::kIdle) return;
  response_ = std::move(response);
  state_ = State::kFinished;
}

void MemoryResponder::start(int status, HttpHeaders headers) {
  std::lock_guard lock(mutex_);
  if (state_ != State::kIdle) return;
  response_ = {status, std::move(headers), {}};
  state_ = State::kStreaming;
}

bool MemoryResponder::write(std::string_view piece) {
  std::lock_guard lock(mutex_);
  if (state_ != State::kStreaming || cancelled_.cancelled()) return false;
  response_.body += piece;
  pieces_.emplace_back(piece);
  return true;
}

void MemoryResponder::finish() {
  std::lock_guard lock(mutex_);
  if (state_ == State::kStreaming) state_ = State::kFinished;
}

void MemoryResponder::abort() {
  std::lock_guard lock(mutex_);
  if (state_ != State::kFinished) state_ = State::kAborted;
}

void MemoryResponder::on_gone(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (!cancelled_.cancelled()) {
      callbacks_.push_back(std::move(callback));
      return;
    }
  }
  callback();
}

bool MemoryResponder::started() const {
  std::lock_guard lock(mutex_);
  return state_ != State::kIdle;
}

void MemoryResponder::disconnect() {
  std::vector<std::function<void()>> callbacks;
  {
    std::lock_guard lock(mutex_);
    cancelled_.cancel();
    callbacks.swap(callbacks_);
  }
  for (auto& callback : callbacks) callback();
}

HttpResponse MemoryResponder::response() const {
  std::lock_guard lock(mutex_);
  return response_;
}

std::vector<std::string> MemoryResponder::pieces() const {
  std::lock_guard lock(mutex_);
  return pieces_;
}

bool MemoryResponder::finished() const {
  std::lock_guard lock(mutex_);
  return state_ == State::kFinished;
}

bool MemoryResponder::aborted() const {
  std::lock_guard lock(mutex_);
  return state_ == State::kAborted;
}

}  // namespace stoa::infra
