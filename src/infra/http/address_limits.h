// How much of a server one client address may take: open connections, requests a second. Memory is bounded whatever addresses come.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <vector>

#include "base/time.h"
#include "infra/http/address.h"

namespace stoa::infra {

struct AddressLimitOptions {
  std::size_t connections = 0;      // open at the same time; 0: any number
  double requests_per_second = 0;   // on average; 0: any number
  double burst = 0;                 // at once after a pause; at least requests_per_second counts
  std::vector<IpRange> exempt{};    // never limited: this machine, proxies that many clients stand behind
  std::size_t max_addresses = 65'536;  // remembered; what comes beyond shares one place
};

// An IPv6 client is known by its /64, since it may use all addresses of it. Thread-safe.
class AddressLimits {
 public:
  explicit AddressLimits(AddressLimitOptions options) : options_(std::move(options)) {}

  // Counts a connection; false when there are too many, and then it is not counted.
  bool open(const IpAddress& address);
  void close(const IpAddress& address);
  // Takes a request of a token bucket: 0, or the whole seconds until the next one will be taken.
  int admit(const IpAddress& address, SteadyTime now);

  std::size_t remembered() const;

 private:
  struct Client {
    std::size_t connections = 0;
    double tokens = 0;
    SteadyTime filled{};  // when `tokens` was right; at the beginning the bucket is full
  };

  bool is_exempt(const IpAddress& address) const;
  Client& client(const IpAddress& address);
  double burst() const;
  void forget_some(SteadyTime now);

  const AddressLimitOptions options_;
  mutable std::mutex mutex_;
  std::map<IpAddress, Client> clients_;
  IpAddress swept_;  // where the last sweep ended
  Client others_;
};

}  // namespace stoa::infra
