#include "gateway/api/auth_backoff.h"

#include <gtest/gtest.h>

namespace stoa::gateway {
namespace {

const SteadyTime kStart{std::chrono::hours(1)};
SteadyTime at(int seconds) { return kStart + std::chrono::seconds(seconds); }
const std::string kOne = "192.0.2.1:1000", kOther = "192.0.2.1:2000", kElsewhere = "198.51.100.9:1";

std::string key(int number, std::string_view secret = "00") { return fmt::format("sk-stoa-{:016x}-{}", number, secret); }

TEST(AuthBackoff, MakesAnAddressWaitLongerAndLonger) {
  AuthBackoff backoff({.free_failures = 3});
  int now = 0;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(backoff.wait(kOne, key(i), at(now)), 0) << i;
    backoff.failed(kOne, key(i), at(now));
  }
  int number = 100;
  for (const int seconds : {1, 2, 4, 8, 16, 32, 60, 60, 60}) {
    EXPECT_EQ(backoff.wait(kOther, key(number), at(now)), 0) << seconds;
    backoff.failed(kOther, key(number), at(now));
    EXPECT_EQ(backoff.wait(kOne, key(++number), at(now)), seconds) << "the port does not matter";
    EXPECT_EQ(backoff.wait(kElsewhere, key(number), at(now)), 0);
    now += seconds;
  }
  EXPECT_EQ(backoff.wait(kOne, key(500), at(now + 601)), 0);
  backoff.failed(kOne, key(500), at(now + 601));
  EXPECT_EQ(backoff.wait(kOne, key(500), at(now + 601)), 0) << "what is long ago no longer counts";
}

TEST(AuthBackoff, MakesAKeyWaitWhereverItIsTriedFrom) {
  AuthBackoff backoff({.free_failures = 3});
  for (int i = 0; i < 4; ++i) backoff.failed(fmt::format("192.0.2.{}:1", i), key(7, fmt::format("{}", i)), at(0));
  EXPECT_EQ(backoff.wait(kElsewhere, key(7, "guess"), at(0)), 1);
  EXPECT_EQ(backoff.wait(kElsewhere, key(8), at(0)), 0);
  for (int i = 0; i < 20; ++i) backoff.failed(fmt::format("192.0.2.{}:1", 100 + i), fmt::format("eyJhbGciOi.{}.x", i), at(0));
  EXPECT_EQ(backoff.wait(kElsewhere, "eyJhbGciOi.z.x", at(0)), 0) << "tokens that begin alike are not one key";
}

TEST(AuthBackoff, LetsThroughWhatHasWorked) {
  AuthBackoff backoff({.free_failures = 3, .exempt = *infra::parse_ranges("127.0.0.0/8, ::1")});
  backoff.succeeded(kElsewhere, key(1, "right"), at(0));
  for (int i = 0; i < 10; ++i) backoff.failed(kOne, key(1, "wrong"), at(0));
  EXPECT_GT(backoff.wait(kOne, key(1, "wrong"), at(0)), 0);
  EXPECT_GT(backoff.wait(kOne, key(2, "new"), at(0)), 0);
  EXPECT_EQ(backoff.wait(kOne, key(1, "right"), at(0)), 0) << "its owner sits behind the same address";
  backoff.failed(kElsewhere, key(1, "right"), at(1));
  EXPECT_GT(backoff.wait(kOne, key(1, "right"), at(1)), 0) << "revoked";
  for (int i = 0; i < 100; ++i) backoff.failed("127.0.0.1:5", key(3), at(0));
  EXPECT_EQ(backoff.wait("127.0.0.1:5", key(3), at(0)), 0);
  EXPECT_EQ(backoff.wait("::1:5", key(1, "wrong"), at(0)), 0);
}

TEST(AuthBackoff, RemembersABoundedNumber) {
  AuthBackoff backoff({.free_failures = 0, .max_remembered = 50});
  for (int i = 0; i < 500; ++i) backoff.failed(fmt::format("10.0.{}.{}:1", i / 250, i % 250), key(i), at(0));
  int waiting = 0;
  for (int i = 0; i < 500; ++i) waiting += backoff.wait(fmt::format("10.0.{}.{}:1", i / 250, i % 250), "other", at(0)) > 0 ? 1 : 0;
  EXPECT_EQ(waiting, 50);
  backoff.failed("10.9.9.9:1", "other", at(120));
  EXPECT_EQ(backoff.wait("10.9.9.9:1", "other", at(120)), 1) << "old ones have made room";
}

}  // namespace
}  // namespace stoa::gateway
