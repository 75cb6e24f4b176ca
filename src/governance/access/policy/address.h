// Addresses of callers and ranges of them in CIDR notation, IPv4 and IPv6.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace stoa::governance {

// Network byte order; IPv4 uses the first four bytes. An IPv4 address that is written inside IPv6 (::ffff:10.0.0.1) is the IPv4 address:
// a server that listens on both sees IPv4 callers that way, and a rule about 10.0.0.0/8 means them too.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  bool v6 = false;
};

std::optional<IpAddress> parse_address(std::string_view text);

struct AddressRange {
  IpAddress first;
  int bits = 0;  // length of the prefix

  // Never across the two families: ::/0 is all of IPv6 and nothing of IPv4.
  bool contains(const IpAddress& address) const;
};

// "10.0.0.0/8", "fd00::/8", or one address. kInvalidArgument also when bits beyond the prefix are set: it is not clear then what is meant.
Result<AddressRange> parse_range(std::string_view text);

}  // namespace stoa::governance
