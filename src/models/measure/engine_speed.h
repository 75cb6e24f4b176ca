// What `stoa bench engine` prints: how fast the engine is with one model on this machine.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/compute/thread_pool.h"
#include "models/engine/local_generator.h"
#include "models/formats/gguf.h"

namespace stoa::models {

struct SpeedRow {
  std::string what, unit;
  double median = 0, lowest = 0, highest = 0;
  int runs = 0;
  // Of decoding one stream: the share of the read bandwidth, probed beside each run, that reading all weights once a token takes; else 0.
  double bandwidth_share = 0;
};

struct SpeedOptions {
  int runs = 5;
  std::size_t weight_bytes = 0;  // of the model, for the bandwidth's share
  // Called before each measurement. May be empty.
  std::function<void(std::string_view)> progress;
};

// What one decoded token reads of a model: every matrix, except embeddings that are not the output matrix as well.
std::size_t bytes_per_token(const GgufFile& file);

// A text of about `tokens` tokens (a few more at most); another `variant` shares no prefix with it. Errors: those of count_prompt_tokens.
Result<std::string> text_of(const Generator& generator, int tokens, int variant);

// The model must be loaded with kMeasureOutbox as outbox and at least 16 slots. Rows that the model's context has no room for are left out.
inline constexpr int kMeasureOutbox = 8;
inline constexpr int kMeasureStreams = 16;
Result<std::vector<SpeedRow>> measure_engine(LocalGenerator& generator, ThreadPool& threads, const SpeedOptions& options);

}  // namespace stoa::models
