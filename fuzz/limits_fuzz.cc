// Any bytes as limits: an error, or rules whose amounts keep to their limits.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "governance/limits/limit_rules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using stoa::governance::LimitText;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const bool of_installation : {false, true}) {
    const auto limits = stoa::governance::parse_limits(text, "fuzz", of_installation);
    if (!limits) continue;
    if (limits->rules.empty() || limits->rules.size() > LimitText::kMaxRules || (limits->by_default && !of_installation)) std::abort();
    for (const auto& rule : limits->rules) {
      if (rule.installation && !of_installation) std::abort();
      if (std::ranges::any_of(rule.amounts, [](std::int64_t amount) { return amount < 0; })) std::abort();
      if (std::ranges::all_of(rule.amounts, [](std::int64_t amount) { return amount == 0; })) std::abort();
      static_cast<void>(rule.applies(text.substr(0, 200), "user_x"));
      for (std::size_t i = 0; i < stoa::governance::kLimitKinds; ++i)
        if (stoa::governance::limit_text(rule, static_cast<stoa::governance::LimitKind>(i)).empty()) std::abort();
    }
  }
  return 0;
}
