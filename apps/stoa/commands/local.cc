#include "commands/local.h"

#include <charconv>

#include "commands/connect.h"

namespace stoa::cli {

Result<Local> open_local(const Global& global, const std::string& tenant) {
  STOA_TRY(config, load_config(global));
  STOA_TRY(installation, wiring::Installation::open(config));
  STOA_TRY(actor, installation.identity->local_operator(tenant.empty() ? "default" : tenant));
  return Local{std::move(installation), Call::of(std::move(actor))};
}

Result<Micros> parse_duration(const std::string& text) {
  std::int64_t count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  const std::string_view unit(end, text.data() + text.size());
  const std::int64_t seconds = unit == "d" ? 86400 : unit == "h" ? 3600 : unit == "m" ? 60 : unit == "s" ? 1 : 0;
  if (code != std::errc() || count <= 0 || count > 100'000 || seconds == 0)
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is no length of time", text).with_hint("use a number and d, h, m or s, such as 90d"));
  return count * seconds * 1'000'000;
}

}  // namespace stoa::cli
