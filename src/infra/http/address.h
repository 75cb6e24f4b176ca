// Numeric internet addresses: strict parsing, the ranges that lead to no stranger, and ranges in CIDR notation.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::infra {

struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};  // of IPv4 the first four
  bool v6 = false;

  auto operator<=>(const IpAddress&) const = default;
  std::string text() const;
};

// "192.0.2.1" (four decimal numbers, no leading zeros) or "2001:db8::1" (no brackets, no zone); nothing else is an address.
std::optional<IpAddress> parse_ip(std::string_view text);

// The name of the special-purpose range that holds the address ("private", "loopback", "link-local"...), after the IANA registries of
// special-purpose addresses (RFC 6890); empty for addresses of the public internet. Forms that carry an IPv4 address inside an IPv6
// one (mapped, NAT64, 6to4, Teredo) are special whatever they carry.
std::string_view special_range(const IpAddress& address);

// True for a host that is spelled the one right way: a strict address or a name of letters, digits, '-', '_' and dots. "127.1",
// "0x7f.0.0.1", "2130706433", "0177.0.0.1", "a%2eb" are not: programs disagree on what they mean.
Status check_host_spelling(std::string_view host);

struct IpRange {
  IpAddress base;
  int bits = 0;  // of the prefix

  bool contains(const IpAddress& address) const;
};

// "10.0.0.0/8", "fd00::/8", or one address. kInvalidArgument names it.
Result<IpRange> parse_range(std::string_view text);
// Comma-separated; empty gives none.
Result<std::vector<IpRange>> parse_ranges(std::string_view text);

// The address of a peer as HttpRequest has it: "192.0.2.1:40222", "2001:db8::1:40222". All zero when it is none.
IpAddress peer_address(std::string_view peer);

}  // namespace stoa::infra
