// Limits as people write them (YAML, of which JSON is a part):
//
//   description: what the pilot may use
//   limits:
//     - per: user                      # project (default), user, key or model, or a list of them: each of these has the amounts for itself
//       models: [gpt-4o*, chat]        # names as callers use them, '*' stands for anything; absent: all
//       principals: [user_x, key_y]    # ids; absent: everybody
//       requests_per_minute: 60
//       tokens_per_minute: 100000      # of prompt and answer
//       concurrent: 8                  # requests under way
//       money_per_hour: 1.50           # in the currency of the price file
//       money_per_day: 20
//
// A text of the installation holds in every project for itself. It may say `default: true`: then only in projects without limits of their own; and a
// limit of it may be `per: installation`: all projects together.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace stoa::governance {

enum class LimitKind : std::uint8_t { kRequests, kTokens, kMoneyHour, kMoneyDay, kConcurrent };
inline constexpr std::size_t kLimitKinds = 5, kBuckets = 4;  // those before kConcurrent are amounts over time

struct LimitUnit {
  std::string_view name;   // "requests_per_minute"
  std::string_view label;  // of metrics: "requests"
  Micros period;           // over which the amount comes back; 0: it comes back when the request ends
};
const LimitUnit& limit_unit(LimitKind kind);

struct LimitRule {
  bool installation = false, user = false, key = false, model = false;  // for each of what the amounts are
  std::vector<std::string> models;      // patterns
  std::vector<std::string> principals;  // ids
  std::array<std::int64_t, kLimitKinds> amounts{};  // by LimitKind, money in micro-units; 0: no limit

  std::int64_t amount(LimitKind kind) const { return amounts[static_cast<std::size_t>(kind)]; }
  bool applies(std::string_view model_named, std::string_view principal) const;
};

struct LimitText {
  static constexpr std::size_t kMaxRules = 64;

  std::string description;
  bool by_default = false;
  std::vector<LimitRule> rules;
};

// `of_installation`: what only a text of the installation may say is allowed. Errors name "NAME:line", the value and what is allowed.
Result<LimitText> parse_limits(std::string_view text, std::string_view name, bool of_installation);

// "60 requests a minute for each user", for people.
std::string limit_text(const LimitRule& rule, LimitKind kind);

}  // namespace stoa::governance
