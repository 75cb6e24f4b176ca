#include "base/time.h"

#include <cstdio>

namespace stoa {
namespace {

class SystemClock final : public Clock {
 public:
  Micros now() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
};

}  // namespace

const Clock& Clock::system() {
  static const SystemClock clock;
  return clock;
}

std::string to_rfc3339(Micros time) {
  using namespace std::chrono;
  const sys_time<microseconds> point{microseconds(time)};
  const auto day = floor<days>(point);
  const year_month_day date{day};
  const hh_mm_ss clock{point - day};
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

Result<Micros> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  int y = 0, mo = 0, d = 0, h = 0, mi = 0, used = 0;
  double s = 0;
  const std::string copy(text);
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%lf%n", &y, &mo, &d, &h, &mi, &s, &used) != 6 || copy.substr(used) != "Z")
    return fail(ErrorCode::kInvalidArgument, "'{}' is not a UTC time of the form 2026-01-31T12:00:00Z", text);
  const year_month_day date{year(y), month(static_cast<unsigned>(mo)), day(static_cast<unsigned>(d))};
  if (!date.ok() || h < 0 || h > 23 || mi < 0 || mi > 59 || s < 0 || s >= 61)
    return fail(ErrorCode::kInvalidArgument, "'{}' is not a valid time", text);
  const auto point = sys_days(date) + hours(h) + minutes(mi);
  return duration_cast<microseconds>(point.time_since_epoch()).count() + static_cast<Micros>(s * 1e6 + .5);
}

}  // namespace stoa
