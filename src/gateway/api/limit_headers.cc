#include "gateway/api/limit_headers.h"

#include <string>

namespace stoa::gateway {
namespace {

// "6m0s", "1.2s", "20ms"
std::string duration_text(Micros time) {
  const std::int64_t ms = (time + 999) / 1000, seconds = ms / 1000;
  if (seconds == 0) return fmt::format("{}ms", ms);
  if (seconds < 60) return ms % 1000 == 0 ? fmt::format("{}s", seconds) : fmt::format("{}.{:03}s", seconds, ms % 1000);
  if (seconds < 3600) return fmt::format("{}m{}s", seconds / 60, seconds % 60);
  return fmt::format("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace

void add_limit_headers(infra::HttpHeaders& headers, const governance::LimitState& state, std::string_view route, Micros now) {
  const bool anthropic = route.starts_with("/v1/messages");
  const auto add = [&](std::string_view what, const governance::LimitState::Amount& amount) {
    if (amount.limit == 0) return;
    const auto name = [&](std::string_view which) { return anthropic ? fmt::format("anthropic-ratelimit-{}-{}", what, which) : fmt::format("x-ratelimit-{}-{}", which, what); };
    headers.set(name("limit"), std::to_string(amount.limit));
    headers.set(name("remaining"), std::to_string(amount.left));
    headers.set(name("reset"), anthropic ? to_rfc3339(now + amount.reset) : duration_text(amount.reset));
  };
  add("requests", state.requests);
  add("tokens", state.tokens);
}

}  // namespace stoa::gateway
