// Slows down whoever tries keys: after some failures an address, and a key's look-up part wherever it comes from, has to wait, twice as long after
// each further one. A key that has worked lately is let through at any time, so that those who share an address with a guesser go on working.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "infra/http/address.h"

namespace stoa::gateway {

struct AuthBackoffOptions {
  int free_failures = 10;                      // before the first wait
  milliseconds first{1'000}, longest{60'000};  // waits
  milliseconds forget{600'000};                // after which failures no longer count
  milliseconds trust{3'600'000};               // for how long a key that worked is let through
  std::vector<infra::IpRange> exempt{};        // clients that never wait: this machine, proxies that many stand behind
  std::size_t max_remembered = 65'536;         // of each kind; beyond, what is new is not remembered until something is forgotten
};

// Thread-safe; bounded in memory. `peer` is that of HttpRequest.
class AuthBackoff {
 public:
  explicit AuthBackoff(AuthBackoffOptions options) : options_(std::move(options)) {}

  // Whole seconds until the key may be tried; 0: now.
  int wait(std::string_view peer, std::string_view key, SteadyTime now);
  void failed(std::string_view peer, std::string_view key, SteadyTime now);
  void succeeded(std::string_view peer, std::string_view key, SteadyTime now);

 private:
  struct Failures {
    int count = 0;
    SteadyTime last{}, until{};
  };
  using Table = std::map<std::string, Failures, std::less<>>;

  bool is_exempt(const infra::IpAddress& address) const;
  void note(Table& table, const std::string& name, SteadyTime now);
  int remaining(Table& table, const std::string& name, SteadyTime now) const;

  const AuthBackoffOptions options_;
  std::mutex mutex_;
  Table by_address_, by_prefix_;
  std::map<std::uint64_t, SteadyTime> trusted_;  // by digests of keys: when they last worked
};

}  // namespace stoa::gateway
