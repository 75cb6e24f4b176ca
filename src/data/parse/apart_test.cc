#include "data/parse/apart.h"

#include <csignal>
#include <cstdlib>
#include <optional>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>

namespace stoa::data {
namespace {

TEST(Apart, WhatEndsTheOtherProcessIsAnErrorHere) {
  volatile std::size_t large = std::size_t{2} << 30;
  struct Case {
    const char* what;
    std::function<std::string()> work;
    std::optional<ErrorCode> error;
  };
  const Case cases[] = {
      {"a text", [] { return std::string(100'000, 'x'); }, {}},
      {"nothing", [] { return std::string(); }, {}},
      {"an exception", []() -> std::string { throw 1; }, ErrorCode::kInvalidArgument},
      {"no memory", []() -> std::string { throw std::bad_alloc(); }, ErrorCode::kTooLarge},
      {"much memory", [&] { return std::string(std::vector<char>(large, 'x').data(), 1); }, ErrorCode::kTooLarge},
      {"an end of its own", []() -> std::string { std::_Exit(1); }, ErrorCode::kTooLarge},
      {"a crash", [] { return std::to_string(std::raise(SIGKILL)); }, ErrorCode::kInvalidArgument},
      {"much text", [] { return std::string(2 << 20, 'x'); }, ErrorCode::kTooLarge},
      {"no end", []() -> std::string { while (true) pause(); }, ErrorCode::kDeadlineExceeded},
  };
  for (const Case& each : cases) {
    const auto milliseconds = std::string_view(each.what) == "no end" ? 100 : 60'000;
    const auto found = run_apart(each.work, {.memory = 1u << 30, .answer = 1u << 20, .deadline = Deadline::after(std::chrono::milliseconds(milliseconds))});
    if (!each.error) {
      ASSERT_TRUE(found) << each.what << ": " << found.error().message;
      EXPECT_EQ(*found, each.work());
    } else {
      ASSERT_FALSE(found) << each.what;
      EXPECT_EQ(found.error().code, *each.error) << each.what << ": " << found.error().message;
    }
  }
}

}  // namespace
}  // namespace stoa::data
