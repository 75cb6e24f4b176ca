// Any bytes as the settings of a cache: an error, or settings whose numbers keep to their limits.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "gateway/cache/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto settings = stoa::gateway::parse_cache_settings({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!settings) return 0;
  if (settings->ttl_seconds < 1 || settings->max_entries < 1 || settings->max_bytes < 1) std::abort();
  if (settings->semantic && (!(settings->semantic->threshold >= 0.5 && settings->semantic->threshold <= 1) || settings->semantic->ttl_seconds < 1)) std::abort();
  return 0;
}
