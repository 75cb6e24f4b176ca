#include "infra/http/address.h"

#include <gtest/gtest.h>

#include <random>

namespace stoa::infra {
namespace {

TEST(Address, KnowsTheRangesThatLeadToNoStranger) {
  const struct { const char* address; const char* range; } cases[] = {
      {"0.0.0.0", "this network"}, {"0.255.255.255", "this network"}, {"1.0.0.0", ""}, {"9.255.255.255", ""}, {"10.0.0.0", "private"}, {"10.255.255.255", "private"},
      {"11.0.0.0", ""}, {"100.63.255.255", ""}, {"100.64.0.0", "carrier-grade NAT"}, {"100.127.255.255", "carrier-grade NAT"}, {"100.128.0.0", ""},
      {"126.255.255.255", ""}, {"127.0.0.1", "loopback"}, {"127.255.255.255", "loopback"}, {"128.0.0.0", ""}, {"169.253.255.255", ""},
      {"169.254.169.254", "link-local"}, {"169.255.0.0", ""}, {"172.15.255.255", ""}, {"172.16.0.0", "private"}, {"172.31.255.255", "private"}, {"172.32.0.0", ""},
      {"192.0.0.1", "protocol assignments"}, {"192.0.1.0", ""}, {"192.0.2.1", ""}, {"192.88.99.1", "6to4 relay"}, {"192.167.255.255", ""},
      {"192.168.1.1", "private"}, {"192.169.0.0", ""}, {"198.17.255.255", ""}, {"198.18.0.0", "benchmarking"}, {"198.19.255.255", "benchmarking"}, {"198.20.0.0", ""},
      {"198.51.100.7", ""}, {"203.0.113.7", ""}, {"223.255.255.255", ""}, {"224.0.0.1", "multicast"}, {"239.255.255.255", "multicast"},
      {"240.0.0.0", "reserved"}, {"255.255.255.255", "reserved"}, {"8.8.8.8", ""},
      {"::", "reserved"}, {"::1", "loopback"}, {"::127.0.0.1", "reserved"}, {"::ffff:127.0.0.1", "IPv4-mapped"}, {"::ffff:8.8.8.8", "IPv4-mapped"},
      {"64:ff9b::10.0.0.1", "NAT64"}, {"64:ff9b:1::1", "NAT64"}, {"2001::1", "Teredo"}, {"2001:1::1", "protocol assignments"}, {"2001:200::", ""},
      {"2001:db8::1", ""}, {"2001:4860:4860::8888", ""}, {"2002:7f00:1::", "6to4"}, {"2606:4700::1111", ""}, {"3fff::1", ""},
      {"4000::1", "reserved"}, {"fc00::1", "private"}, {"fdff::1", "private"}, {"fe80::1", "link-local"}, {"fec0::1", "site-local"}, {"ff02::1", "multicast"},
  };
  for (const auto& [text, range] : cases) {
    const auto address = parse_ip(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(special_range(*address), range) << text;
    EXPECT_EQ(parse_ip(address->text()), address) << text;
  }
}

// An IPv4 address in another form must not pass, whatever it is: the form itself is special or no address at all.
TEST(Address, EveryOtherFormOfAnAddressIsRefused) {
  std::mt19937 random(7);
  for (int round = 0; round < 5000; ++round) {
    const std::uint32_t value = round < 4 ? (const std::uint32_t[]){0x7f000001, 0xa9fea9fe, 0x0a000001, 0xc0a80101}[round] : static_cast<std::uint32_t>(random());
    const unsigned a = value >> 24, b = value >> 16 & 255, c = value >> 8 & 255, d = value & 255;
    const std::string plain = fmt::format("{}.{}.{}.{}", a, b, c, d);
    ASSERT_TRUE(check_host_spelling(plain)) << plain;
    ASSERT_EQ(parse_ip(plain)->text(), plain);
    for (const std::string& odd : {
             fmt::format("{}", value), fmt::format("{:#x}", value), fmt::format("0{:o}", value), fmt::format("0{:o}.{}.{}.{}", a, b, c, d),
             fmt::format("{:#x}.{}.{}.{}", a, b, c, d), fmt::format("{}.{}.{}.{:#x}", a, b, c, d), fmt::format("{}.{}.{}", a, b, value & 0xffff),
             fmt::format("{}.{}", a, value & 0xffffff), plain + ".", plain + "%00", plain + "\\", fmt::format("{}.{}.{}.{}.{}", a, b, c, d, d),
             fmt::format("0{}.{}.{}.{}", a, b, c, d), fmt::format("{}.{}.{}.0x", a, b, c), fmt::format("{}%2e{}.{}.{}", a, b, c, d), "0X" + fmt::format("{:x}", value)}) {
      EXPECT_FALSE(check_host_spelling(odd)) << odd;
      EXPECT_FALSE(parse_ip(odd)) << odd;
    }
    const unsigned high = value >> 16, low = value & 0xffff;
    for (const std::string& carried : {fmt::format("::ffff:{}", plain), fmt::format("::ffff:{:x}:{:x}", high, low), fmt::format("::{}", plain), fmt::format("64:ff9b::{}", plain),
                                       fmt::format("2002:{:x}:{:x}::1", high, low), fmt::format("2001:0:{:x}:{:x}::", high, low)}) {
      const auto address = parse_ip(carried);
      ASSERT_TRUE(address) << carried;
      EXPECT_NE(special_range(*address), "") << carried;
    }
  }
}

TEST(Address, SpellingsOfHosts) {
  const struct { const char* host; bool ok; } cases[] = {
      {"example.com", true}, {"a", true}, {"a_b.example", true}, {"xn--mnchen-3ya.de", true}, {"1.example", true}, {"0x7f.example", true}, {"2001:db8::1", true}, {"8.8.8.8", true},
      {"", false}, {".", false}, {"a..b", false}, {".a", false}, {"example.com.", false}, {"127.1", false}, {"0", false}, {"1.2.3.4.5", false}, {"256.1.1.1", false}, {"a.0x1f", false},
      {"a.09", false}, {"fe80::1%eth0", false}, {":::", false}, {"a b", false}, {"a%2eb", false}, {"a/b", false}, {"a\\b", false}, {"a@b", false}, {"\xef\xbc\x91.1.1.1", false}, {"mün.de", false},
  };
  for (const auto& [host, ok] : cases) EXPECT_EQ(check_host_spelling(host).has_value(), ok) << host;
  EXPECT_FALSE(check_host_spelling(std::string(64, 'a') + ".b"));
  EXPECT_FALSE(check_host_spelling(std::string(300, 'a')));
}

TEST(Address, Ranges) {
  const struct { const char* range; const char* address; bool inside; } cases[] = {
      {"10.0.0.0/8", "10.255.0.1", true}, {"10.0.0.0/8", "11.0.0.0", false}, {"10.1.2.3", "10.1.2.3", true}, {"10.1.2.3", "10.1.2.4", false}, {"0.0.0.0/0", "1.2.3.4", true},
      {"0.0.0.0/0", "::1", false}, {"172.16.0.0/12", "172.31.9.9", true}, {"172.16.0.0/12", "172.32.0.0", false}, {"fd00::/8", "fdff::1", true}, {"::1", "::1", true},
      {"2001:db8::/33", "2001:db8:7fff::", true}, {"2001:db8::/33", "2001:db8:8000::", false},
  };
  for (const auto& [range, address, inside] : cases) EXPECT_EQ(parse_range(range)->contains(*parse_ip(address)), inside) << range << " " << address;
  for (const auto* bad : {"", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x", "10/8", "::/129", "host", "10.0.0.1 "}) EXPECT_FALSE(parse_range(bad)) << bad;
  EXPECT_EQ(parse_ranges(" 10.0.0.0/8, ::1 ,")->size(), 2u);
  EXPECT_FALSE(parse_ranges("10.0.0.0/8;::1"));
  const struct { const char* peer; const char* address; } peers[] = {{"192.0.2.1:40222", "192.0.2.1"}, {"::1:40222", "::1"}, {"2001:db8::7:80", "2001:db8::7"}, {"::ffff:192.0.2.1:80", "192.0.2.1"}, {"", "0.0.0.0"}, {"x", "0.0.0.0"}};
  for (const auto& [peer, address] : peers) EXPECT_EQ(peer_address(peer).text(), address) << peer;
}

}  // namespace
}  // namespace stoa::infra
