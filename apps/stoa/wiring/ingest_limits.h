// How documents are brought in, by the configuration.
#pragma once

#include <algorithm>

#include "data/sources/ingest.h"
#include "infra/config/config.h"

namespace stoa::wiring {

inline data::IngestLimits ingest_limits(const infra::Config& config) {
  data::IngestLimits limits;
  limits.parse.max_bytes = static_cast<std::size_t>(config.ingest.max_file_bytes);
  limits.chunk.target_tokens = static_cast<int>(config.chunk.tokens);
  limits.chunk.max_tokens = std::max(limits.chunk.max_tokens, limits.chunk.target_tokens);
  return limits;
}

}  // namespace stoa::wiring
