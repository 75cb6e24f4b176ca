// What a project wants kept, as people write it (YAML, of which JSON is a part). Without it nothing is.
//
//   answers: deterministic     # off (default); deterministic: what has temperature 0 or a seed; all: whatever was asked
//   ttl_seconds: 3600
//   max_entries: 1000          # answers, and as many embeddings
//   max_bytes: 16777216        # answers, and as many of embeddings
//   share: true                # equal requests at the same time are answered once (default: true)
//   semantic:                  # absent: only equal questions are answered alike
//     threshold: 0.95          # cosine of the embeddings of the last questions, 0.5 to 1
//     ttl_seconds: 600
//   embeddings: true           # default: false
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/chat.h"

namespace stoa::gateway {

struct CacheSettings {
  enum class Answers : std::uint8_t { kOff, kDeterministic, kAll };
  struct Semantic {
    double threshold = 0.95;
    std::int64_t ttl_seconds = 600;
  };

  Answers answers = Answers::kOff;
  std::int64_t ttl_seconds = 3600;
  std::int64_t max_entries = 1000, max_bytes = 16 << 20;
  bool share = true;
  std::optional<Semantic> semantic;
  bool embeddings = false;

  // Whether an answer may stand for another to the same request.
  bool covers(const ChatRequest& request) const {
    return answers == Answers::kAll || (answers == Answers::kDeterministic && (request.sampling.temperature == 0 || request.sampling.seed.has_value()));
  }
};

// Errors name "NAME:line", the value and what is allowed.
Result<CacheSettings> parse_cache_settings(std::string_view text, std::string_view name);

}  // namespace stoa::gateway
