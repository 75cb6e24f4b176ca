#include "infra/http/address.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include <arpa/inet.h>

namespace stoa::infra {
namespace {

struct Special {
  std::string_view range, name;
};

// The IANA registries, less what is globally reachable in them, and less the ranges for documentation: nobody lives there, and networks made for
// tests use them in place of the internet.
constexpr Special kSpecial4[] = {
    {"0.0.0.0/8", "this network"},     {"10.0.0.0/8", "private"},    {"100.64.0.0/10", "carrier-grade NAT"},   {"127.0.0.0/8", "loopback"},
    {"169.254.0.0/16", "link-local"},  {"172.16.0.0/12", "private"}, {"192.0.0.0/24", "protocol assignments"}, {"192.88.99.0/24", "6to4 relay"},
    {"192.168.0.0/16", "private"},     {"198.18.0.0/15", "benchmarking"}, {"224.0.0.0/4", "multicast"},        {"240.0.0.0/4", "reserved"},
};
constexpr Special kSpecial6[] = {
    {"::1/128", "loopback"}, {"::ffff:0:0/96", "IPv4-mapped"}, {"64:ff9b::/96", "NAT64"}, {"64:ff9b:1::/48", "NAT64"},   {"2001::/32", "Teredo"},      {"2001::/23", "protocol assignments"},
    {"2002::/16", "6to4"},   {"fc00::/7", "private"},          {"fe80::/10", "link-local"}, {"fec0::/10", "site-local"}, {"ff00::/8", "multicast"},
};

std::vector<std::pair<IpRange, std::string_view>> parsed(std::span<const Special> table) {
  std::vector<std::pair<IpRange, std::string_view>> ranges;
  for (const auto& [range, name] : table) ranges.emplace_back(parse_range(range).value(), name);
  return ranges;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// What address parsers of other programs would take for a number.
bool is_number(std::string_view label) {
  if (label.starts_with("0x") || label.starts_with("0X")) return std::ranges::all_of(label.substr(2), is_hex);
  return std::ranges::all_of(label, is_digit);
}

}  // namespace

std::string IpAddress::text() const {
  char buffer[INET6_ADDRSTRLEN] = {};
  inet_ntop(v6 ? AF_INET6 : AF_INET, bytes.data(), buffer, sizeof buffer);
  return buffer;
}

std::optional<IpAddress> parse_ip(std::string_view text) {
  if (text.size() >= INET6_ADDRSTRLEN || text.find('\0') != std::string_view::npos) return std::nullopt;
  const std::string copy(text);
  IpAddress address;
  address.v6 = text.find(':') != std::string_view::npos;
  if (inet_pton(address.v6 ? AF_INET6 : AF_INET, copy.c_str(), address.bytes.data()) != 1) return std::nullopt;
  return address;
}

std::string_view special_range(const IpAddress& address) {
  static const auto ranges4 = parsed(kSpecial4), ranges6 = parsed(kSpecial6);
  for (const auto& [range, name] : address.v6 ? ranges6 : ranges4)
    if (range.contains(address)) return name;
  // Of IPv6 only 2000::/3 has been given out.
  return address.v6 && (address.bytes[0] & 0xe0) != 0x20 ? "reserved" : std::string_view();
}

Status check_host_spelling(std::string_view host) {
  const auto bad = [&](std::string_view why) -> Status {
    return fail(error(ErrorCode::kInvalidArgument, "the host '{}' {}", host.substr(0, 100), why).with_hint("write a plain name, four decimal numbers, or an IPv6 address in brackets"));
  };
  if (host.empty() || host.size() > 253) return bad("is empty or too long");
  if (host.find(':') != std::string_view::npos) return parse_ip(host) ? Status{} : bad("is not a proper IPv6 address");
  std::string_view rest = host, label;
  while (true) {
    const auto dot = rest.find('.');
    label = rest.substr(0, dot);
    if (label.empty() || label.size() > 63) return bad("has an empty or too long part");
    for (const char c : label)
      if (!is_digit(c) && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '-' && c != '_') return bad("has characters that names cannot have");
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (is_number(label) && !parse_ip(host)) return bad("is an unusual spelling of an address");
  return {};
}

bool IpRange::contains(const IpAddress& address) const {
  if (address.v6 != base.v6) return false;
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (std::memcmp(address.bytes.data(), base.bytes.data(), whole) != 0) return false;
  const int rest = bits % 8;
  return rest == 0 || ((address.bytes[whole] ^ base.bytes[whole]) >> (8 - rest)) == 0;
}

Result<IpRange> parse_range(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_ip(text.substr(0, slash));
  if (!address) return fail(ErrorCode::kInvalidArgument, "'{}' is not an address or a range such as 10.0.0.0/8", text.substr(0, 100));
  const int most = address->v6 ? 128 : 32;
  IpRange range{*address, most};
  if (slash == std::string_view::npos) return range;
  const auto digits = text.substr(slash + 1);
  const auto [end, failed] = std::from_chars(digits.data(), digits.data() + digits.size(), range.bits);
  if (failed != std::errc() || end != digits.data() + digits.size() || range.bits < 0 || range.bits > most)
    return fail(ErrorCode::kInvalidArgument, "'{}': the length of the prefix is 0 to {}", text.substr(0, 100), most);
  return range;
}

Result<std::vector<IpRange>> parse_ranges(std::string_view text) {
  std::vector<IpRange> ranges;
  while (!text.empty()) {
    const auto comma = text.find(',');
    auto part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!part.empty()) {
      STOA_TRY(range, parse_range(part));
      ranges.push_back(range);
    }
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  return ranges;
}

IpAddress peer_address(std::string_view peer) {
  IpAddress address = parse_ip(peer.substr(0, peer.rfind(':'))).value_or(IpAddress{});
  // A socket that listens for IPv6 shows IPv4 clients as mapped addresses: they are who they are all the same.
  static const IpRange mapped = parse_range("::ffff:0:0/96").value();
  if (!mapped.contains(address)) return address;
  IpAddress plain;
  std::copy(address.bytes.begin() + 12, address.bytes.end(), plain.bytes.begin());
  return plain;
}

}  // namespace stoa::infra
