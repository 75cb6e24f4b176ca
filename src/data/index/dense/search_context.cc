#include "data/index/dense/search_context.h"

namespace stoa::data {

std::unique_ptr<SearchContext> ContextPool::lend() {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<SearchContext> context;
  if (idle_.empty()) {
    context = std::make_unique<SearchContext>();
  } else {
    context = std::move(idle_.back());
    idle_.pop_back();
  }
  context->era = era_;
  lent_.push_back(context.get());
  return context;
}

void ContextPool::take_back(std::unique_ptr<SearchContext> context) {
  {
    const std::lock_guard lock(mutex_);
    std::erase(lent_, context.get());
    if (keeps_idle_ && context->era >= kept_from_) idle_.push_back(std::move(context));
    if (retired_.empty()) return;
  }
  const std::unique_lock running(running_, std::try_to_lock);
  if (!running.owns_lock()) return;  // the next one to give a context back calls what is left
  for (const Action& action : due()) action();
}

std::vector<ContextPool::Action> ContextPool::due() {
  const std::lock_guard lock(mutex_);
  std::uint64_t oldest = era_;
  for (const SearchContext* other : lent_) oldest = std::min(oldest, other->era);
  std::vector<Action> due;
  while (!retired_.empty() && retired_.front().era < oldest) {
    due.push_back(std::move(retired_.front().action));
    retired_.pop_front();
  }
  return due;
}

void ContextPool::retire(Action action) {
  const std::lock_guard lock(mutex_);
  retired_.push_back({era_++, std::move(action)});
}

void ContextPool::keep_idle(bool keep) {
  const std::lock_guard lock(mutex_);
  keeps_idle_ = keep;
  kept_from_ = ++era_;
  idle_.clear();
}

std::size_t ContextPool::memory_bytes() const {
  const std::lock_guard lock(mutex_);
  std::size_t bytes = 0;
  for (const auto& context : idle_) bytes += context->memory_bytes();
  return bytes;
}

}  // namespace stoa::data
