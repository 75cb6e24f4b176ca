#include "infra/http/address_limits.h"

#include <algorithm>
#include <cmath>

namespace stoa::infra {
namespace {

constexpr int kSweep = 64;  // entries looked at for one that is new: a full table costs little

IpAddress network_of(IpAddress address) {
  if (address.v6) std::fill(address.bytes.begin() + 8, address.bytes.end(), std::uint8_t{0});
  return address;
}

}  // namespace

bool AddressLimits::is_exempt(const IpAddress& address) const {
  return std::ranges::any_of(options_.exempt, [&](const IpRange& range) { return range.contains(address); });
}

double AddressLimits::burst() const { return std::max({options_.burst, options_.requests_per_second, 1.0}); }

// An entry without connections whose bucket is full again says nothing that a new one would not.
void AddressLimits::forget_some(SteadyTime now) {
  auto it = clients_.upper_bound(swept_);
  for (int i = 0; i < kSweep && !clients_.empty(); ++i) {
    if (it == clients_.end()) it = clients_.begin();
    swept_ = it->first;
    const Client& each = it->second;
    const double refilled = each.tokens + std::chrono::duration<double>(now - each.filled).count() * options_.requests_per_second;
    if (each.connections == 0 && refilled >= burst()) it = clients_.erase(it);
    else ++it;
  }
}

AddressLimits::Client& AddressLimits::client(const IpAddress& address) {
  const IpAddress key = network_of(address);
  if (const auto found = clients_.find(key); found != clients_.end()) return found->second;
  if (clients_.size() >= options_.max_addresses) forget_some(std::chrono::steady_clock::now());
  return clients_.size() >= options_.max_addresses ? others_ : clients_[key];
}

bool AddressLimits::open(const IpAddress& address) {
  if (options_.connections == 0 || is_exempt(address)) return true;
  std::lock_guard lock(mutex_);
  Client& from = client(address);
  if (from.connections >= options_.connections) return false;
  ++from.connections;
  return true;
}

void AddressLimits::close(const IpAddress& address) {
  if (options_.connections == 0 || is_exempt(address)) return;
  std::lock_guard lock(mutex_);
  // One that was counted among the others may have got a place of its own since.
  const auto found = clients_.find(network_of(address));
  Client& from = found != clients_.end() && found->second.connections > 0 ? found->second : others_;
  if (from.connections > 0) --from.connections;
}

int AddressLimits::admit(const IpAddress& address, SteadyTime now) {
  if (options_.requests_per_second <= 0 || is_exempt(address)) return 0;
  std::lock_guard lock(mutex_);
  Client& from = client(address);
  if (from.filled == SteadyTime{}) from.tokens = burst();
  else from.tokens = std::min(burst(), from.tokens + std::chrono::duration<double>(now - from.filled).count() * options_.requests_per_second);
  from.filled = now;
  if (from.tokens < 1) return std::max(1, static_cast<int>(std::ceil((1 - from.tokens) / options_.requests_per_second)));
  from.tokens -= 1;
  return 0;
}

std::size_t AddressLimits::remembered() const {
  std::lock_guard lock(mutex_);
  return clients_.size();
}

}  // namespace stoa::infra
