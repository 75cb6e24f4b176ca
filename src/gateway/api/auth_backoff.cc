#include "gateway/api/auth_backoff.h"

#include <algorithm>
#include <cstring>

#include "infra/crypto/hash.h"

namespace stoa::gateway {
namespace {

constexpr std::string_view kKeyStart = "sk-stoa-";
constexpr std::size_t kPrefix = 16;  // what keys are looked up by

// Empty for other credentials: tokens of one provider all begin alike.
std::string prefix_of(std::string_view key) { return key.starts_with(kKeyStart) ? std::string(key.substr(kKeyStart.size(), kPrefix)) : ""; }

std::uint64_t digest_of(std::string_view key) {
  const auto digest = infra::sha256(key);
  std::uint64_t value = 0;
  std::memcpy(&value, digest.data(), sizeof value);
  return value;
}

std::string name_of(infra::IpAddress address) {
  if (address.v6) std::fill(address.bytes.begin() + 8, address.bytes.end(), std::uint8_t{0});  // a client may use its whole /64
  return address.text();
}

}  // namespace

bool AuthBackoff::is_exempt(const infra::IpAddress& address) const {
  return std::ranges::any_of(options_.exempt, [&](const infra::IpRange& range) { return range.contains(address); });
}

int AuthBackoff::remaining(Table& table, const std::string& name, SteadyTime now) const {
  const auto found = table.find(name);
  if (found == table.end()) return 0;
  if (now - found->second.last > options_.forget) {
    table.erase(found);
    return 0;
  }
  if (found->second.until <= now) return 0;
  return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(found->second.until - now).count());
}

int AuthBackoff::wait(std::string_view peer, std::string_view key, SteadyTime now) {
  std::lock_guard lock(mutex_);
  if (by_address_.empty() && by_prefix_.empty()) return 0;
  const auto address = infra::peer_address(peer);
  if (is_exempt(address)) return 0;
  const int seconds = std::max(remaining(by_address_, name_of(address), now), remaining(by_prefix_, prefix_of(key), now));
  if (seconds == 0) return 0;
  const auto known = trusted_.find(digest_of(key));
  return known != trusted_.end() && now - known->second < options_.trust ? 0 : seconds;
}

void AuthBackoff::note(Table& table, const std::string& name, SteadyTime now) {
  auto found = table.find(name);
  if (found == table.end()) {
    if (table.size() >= options_.max_remembered) std::erase_if(table, [&](const auto& entry) { return now - entry.second.last > options_.longest; });
    if (table.size() >= options_.max_remembered) return;
    found = table.emplace(name, Failures{}).first;
  }
  Failures& failures = found->second;
  if (now - failures.last > options_.forget) failures.count = 0;
  failures.last = now;
  const int beyond = ++failures.count - options_.free_failures;
  if (beyond > 0) failures.until = now + std::min(options_.longest, options_.first * (std::int64_t{1} << std::min(beyond - 1, 20)));
}

void AuthBackoff::failed(std::string_view peer, std::string_view key, SteadyTime now) {
  const auto address = infra::peer_address(peer);
  if (is_exempt(address)) return;
  std::lock_guard lock(mutex_);
  trusted_.erase(digest_of(key));  // revoked since
  note(by_address_, name_of(address), now);
  if (const std::string prefix = prefix_of(key); !prefix.empty()) note(by_prefix_, prefix, now);
}

void AuthBackoff::succeeded(std::string_view peer, std::string_view key, SteadyTime now) {
  if (is_exempt(infra::peer_address(peer))) return;
  const std::uint64_t digest = digest_of(key);
  std::lock_guard lock(mutex_);
  if (!by_prefix_.empty()) by_prefix_.erase(prefix_of(key));
  if (trusted_.size() >= options_.max_remembered && !trusted_.contains(digest)) {
    std::erase_if(trusted_, [&](const auto& entry) { return now - entry.second >= options_.trust; });
    if (trusted_.size() >= options_.max_remembered) return;
  }
  trusted_[digest] = now;
}

}  // namespace stoa::gateway
