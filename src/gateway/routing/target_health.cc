#include "gateway/routing/target_health.h"

#include <algorithm>
#include <cmath>

namespace stoa::gateway {

std::string target_key(std::string_view project, const RouteTarget& target) { return target.provider.empty() ? target.id() : fmt::format("{} {}", project, target.id()); }

TargetHealth::Entry& TargetHealth::entry(std::string_view target) {
  if (const auto found = entries_.find(target); found != entries_.end()) return found->second;
  if (entries_.size() >= kMaxTargets) std::erase_if(entries_, [](const auto& known) { return known.second.state.under_way == 0; });
  return entries_[std::string(target)];
}

void TargetHealth::begin(std::string_view target) {
  std::lock_guard lock(mutex_);
  TargetState& state = entry(target).state;
  ++state.under_way;
  ++state.requests;
}

void TargetHealth::succeeded(std::string_view target, milliseconds first, Now now) {
  std::lock_guard lock(mutex_);
  Entry& known = entry(target);
  TargetState& state = known.state;
  state.under_way = std::max(0, state.under_way - 1);
  state.failures = 0;
  state.availability += (1 - state.availability) * kWeight;
  state.open = known.trying = false;
  const double micros = static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(first).count());
  if (micros >= state.first_micros) {
    state.first_micros = micros;
  } else {
    const double weight = std::exp(-std::chrono::duration<double>(now - known.changed).count() / std::chrono::duration<double>(kDecay).count());
    state.first_micros = state.first_micros * weight + micros * (1 - weight);
  }
  known.changed = now;
}

void TargetHealth::failed(std::string_view target, Now now) {
  std::lock_guard lock(mutex_);
  Entry& known = entry(target);
  TargetState& state = known.state;
  state.under_way = std::max(0, state.under_way - 1);
  ++state.failed;
  ++state.failures;
  state.availability -= state.availability * kWeight;
  known.trying = false;
  if (state.failures < kFailures) return;
  state.open = true;
  const int doublings = std::min(state.failures - kFailures, 16);
  known.closed = now + std::min(kMostPause, kFirstPause * (1 << doublings));
}

void TargetHealth::ended(std::string_view target) {
  std::lock_guard lock(mutex_);
  Entry& known = entry(target);
  known.state.under_way = std::max(0, known.state.under_way - 1);
  known.trying = false;
}

bool TargetHealth::admits(std::string_view target, Now now) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(target);
  if (found == entries_.end() || !found->second.state.open) return true;
  Entry& known = found->second;
  if (known.trying || now < known.closed) return false;
  known.trying = true;
  return true;
}

double TargetHealth::cost(std::string_view target) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(target);
  return found == entries_.end() ? 0 : found->second.state.first_micros * (found->second.state.under_way + 1);
}

milliseconds TargetHealth::fair_time(std::string_view target) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(target);
  const double micros = found == entries_.end() ? 0 : found->second.state.first_micros;
  return std::max(kFairTime, milliseconds(static_cast<std::int64_t>(kFairTimes * micros / 1'000)));
}

TargetState TargetHealth::state(std::string_view target, Now now) const {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(target);
  if (found == entries_.end()) return {};
  TargetState state = found->second.state;
  state.open = state.open && now < found->second.closed;
  return state;
}

}  // namespace stoa::gateway
