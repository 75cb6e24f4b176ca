#include "governance/access/policy/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <string>

namespace stoa::governance {
namespace {

constexpr std::size_t kLongest = 45;  // an IPv6 address with an IPv4 address at its end, spelt out
constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};

}  // namespace

std::optional<IpAddress> parse_address(std::string_view text) {
  if (text.empty() || text.size() > kLongest || text.find('\0') != text.npos) return std::nullopt;
  const std::string terminated(text);
  IpAddress address;
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data()) == 1) return address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) != 1) return std::nullopt;
  address.v6 = !std::equal(kMapped.begin(), kMapped.end(), address.bytes.begin());
  if (!address.v6) {
    std::copy(address.bytes.begin() + 12, address.bytes.end(), address.bytes.begin());
    std::fill(address.bytes.begin() + 4, address.bytes.end(), std::uint8_t{0});
  }
  return address;
}

bool AddressRange::contains(const IpAddress& address) const {
  if (address.v6 != first.v6) return false;
  const auto whole = static_cast<std::size_t>(bits / 8);
  if (!std::equal(first.bytes.begin(), first.bytes.begin() + whole, address.bytes.begin())) return false;
  if (bits % 8 == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xFF << (8 - bits % 8));
  return ((first.bytes[whole] ^ address.bytes[whole]) & mask) == 0;
}

Result<AddressRange> parse_range(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address || (!address->v6 && text.find(':') != text.npos))
    return fail(error(ErrorCode::kInvalidArgument, "\"{}\" is not a range of addresses", text).with_hint("write it like 10.0.0.0/8 or fd00::/8"));
  const int longest = address->v6 ? 128 : 32;
  AddressRange range{*address, longest};
  if (slash != text.npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), range.bits);
    if (code != std::errc() || end != digits.data() + digits.size() || range.bits < 0 || range.bits > longest)
      return fail(ErrorCode::kInvalidArgument, "\"{}\" needs a prefix of 0 to {} bits behind the '/'", text, longest);
  }
  for (int bit = range.bits; bit < longest; ++bit)
    if (range.first.bytes[static_cast<std::size_t>(bit / 8)] >> (7 - bit % 8) & 1)
      return fail(error(ErrorCode::kInvalidArgument, "\"{}\" has bits set behind its prefix", text).with_hint("write the first address of the range"));
  return range;
}

}  // namespace stoa::governance
