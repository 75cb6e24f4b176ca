#include "infra/http/address_limits.h"

#include <gtest/gtest.h>

namespace stoa::infra {
namespace {

const SteadyTime kStart{std::chrono::hours(1)};
SteadyTime at(double seconds) { return kStart + std::chrono::duration_cast<SteadyTime::duration>(std::chrono::duration<double>(seconds)); }
IpAddress ip(const std::string& text) { return parse_ip(text).value(); }

TEST(AddressLimits, CountsConnectionsOfAnAddress) {
  AddressLimits limits({.connections = 2, .exempt = *parse_ranges("127.0.0.0/8")});
  EXPECT_TRUE(limits.open(ip("192.0.2.1")));
  EXPECT_TRUE(limits.open(ip("192.0.2.1")));
  EXPECT_FALSE(limits.open(ip("192.0.2.1")));
  EXPECT_TRUE(limits.open(ip("192.0.2.2")));
  limits.close(ip("192.0.2.1"));
  EXPECT_TRUE(limits.open(ip("192.0.2.1")));
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(limits.open(ip("127.0.0.1")));
  EXPECT_TRUE(limits.open(ip("2001:db8::1")));
  EXPECT_TRUE(limits.open(ip("2001:db8::ffff:1")));
  EXPECT_FALSE(limits.open(ip("2001:db8::2"))) << "one /64 is one client";
  EXPECT_TRUE(limits.open(ip("2001:db8:0:1::2")));
}

TEST(AddressLimits, TakesRequestsAtARate) {
  AddressLimits limits({.requests_per_second = 2, .burst = 4});
  const struct { double time; const char* address; int wait; } cases[] = {
      {0, "192.0.2.1", 0}, {0, "192.0.2.1", 0}, {0, "192.0.2.1", 0}, {0, "192.0.2.1", 0}, {0, "192.0.2.1", 1}, {0, "192.0.2.9", 0}, {0.4, "192.0.2.1", 1},
      {0.6, "192.0.2.1", 0}, {0.6, "192.0.2.1", 1}, {100, "192.0.2.1", 0}, {100, "192.0.2.1", 0}, {100, "192.0.2.1", 0}, {100, "192.0.2.1", 0}, {100, "192.0.2.1", 1},
  };
  for (const auto& [time, address, wait] : cases) EXPECT_EQ(limits.admit(ip(address), at(time)), wait) << time;
  AddressLimits slow({.requests_per_second = 0.1});
  EXPECT_EQ(slow.admit(ip("192.0.2.1"), at(0)), 0);
  EXPECT_EQ(slow.admit(ip("192.0.2.1"), at(0)), 10);
  AddressLimits none({});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(none.admit(ip("192.0.2.1"), at(0)), 0);
}

TEST(AddressLimits, RemembersABoundedNumber) {
  AddressLimits limits({.connections = 3, .requests_per_second = 1, .burst = 1, .max_addresses = 100});
  // The clock of the buckets is the real one here, since the sweep uses it: all of them are fresh, so none can be forgotten.
  const auto now = std::chrono::steady_clock::now();
  int refused = 0;
  for (int i = 0; i < 1000; ++i) refused += limits.admit(ip(fmt::format("10.0.{}.{}", i / 250, i % 250)), now) != 0 ? 1 : 0;
  EXPECT_EQ(limits.remembered(), 100u);
  EXPECT_EQ(refused, 899) << "what comes beyond shares one bucket";
  EXPECT_EQ(limits.admit(ip("10.0.0.5"), now), 1) << "those from before keep theirs";
  // Buckets that were emptied long ago are full again, and their places are free.
  AddressLimits old({.requests_per_second = 1, .burst = 1, .max_addresses = 100});
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(old.admit(ip(fmt::format("10.0.{}.{}", i / 250, i % 250)), now - std::chrono::hours(1)), 0) << i;
  EXPECT_LE(old.remembered(), 100u);
}

}  // namespace
}  // namespace stoa::infra
