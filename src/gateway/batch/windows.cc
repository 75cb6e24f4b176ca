#include "gateway/batch/windows.h"

#include <algorithm>
#include <charconv>

namespace stoa::gateway {
namespace {

constexpr int kDay = 24 * 60;
constexpr Micros kMinute = 60'000'000;

// "06:30"; "24:00" is the end of the day.
std::optional<int> parse_minute(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return std::nullopt;
  int hours = 0, minutes = 0;
  for (const auto& [part, value] : {std::pair(text.substr(0, 2), &hours), std::pair(text.substr(3), &minutes)}) {
    if (!std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
    std::from_chars(part.data(), part.data() + part.size(), *value);
  }
  const int minute = hours * 60 + minutes;
  return minutes > 59 || minute > kDay ? std::nullopt : std::optional(minute);
}

bool within(const BatchWindow& window, int minute) {
  if (window.from < window.until) return minute >= window.from && minute < window.until;
  return minute >= window.from || minute < window.until;
}

int minute_of(Micros now) { return static_cast<int>(now / kMinute % kDay); }

}  // namespace

Result<BatchWindows> BatchWindows::parse(std::string_view text) {
  BatchWindows out;
  for (bool more = !text.empty(); more;) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    const std::size_t dash = one.find('-');
    const auto from = parse_minute(one.substr(0, dash)), until = dash == std::string_view::npos ? std::nullopt : parse_minute(one.substr(dash + 1));
    if (!from || !until || *from == kDay || out.windows_.size() == kMost)
      return fail(error(ErrorCode::kInvalidArgument, "'{}' is no list of at most {} times of the day", one.substr(0, 40), kMost)
                      .with_param("windows").with_hint("write them in UTC: 22:00-06:00, or 12:00-13:00,22:00-06:00"));
    out.windows_.push_back({*from, *until % kDay});
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
  }
  return out;
}

std::string BatchWindows::text() const {
  std::string out;
  for (const BatchWindow& w : windows_)
    out += fmt::format("{}{:02}:{:02}-{:02}:{:02}", out.empty() ? "" : ",", w.from / 60, w.from % 60, w.until / 60, w.until % 60);
  return out;
}

bool BatchWindows::open(Micros now) const {
  return windows_.empty() || std::ranges::any_of(windows_, [&](const BatchWindow& window) { return within(window, minute_of(now)); });
}

Micros BatchWindows::next(Micros now) const {
  if (open(now)) return now;
  int wait = kDay;
  for (const BatchWindow& window : windows_) wait = std::min(wait, (window.from - minute_of(now) + kDay) % kDay);
  return now - now % kMinute + wait * kMinute;
}

}  // namespace stoa::gateway
