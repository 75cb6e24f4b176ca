// The port through which retrieval turns text into vectors. Implemented above it, by models/engine.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"

namespace stoa::data {

struct Embeddings {
  int dimensions = 0;
  std::vector<float> values;        // texts.size() x dimensions, row-major, each row of unit length
  std::vector<int> tokens;          // tokens of each text after truncation
  std::int64_t compute_micros = 0;
  int cached_texts = 0;             // of the texts, those that were not embedded anew, with so many tokens
  std::int64_t cached_tokens = 0;
};

// Thread-safe. Texts longer than max_tokens() are cut. An empty text is allowed.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual Result<Embeddings> embed(const Call& call, std::span<const std::string> texts) = 0;
  virtual Result<int> count_tokens(const std::string& text) const = 0;  // not cut, special tokens included
  virtual int dimensions() const = 0;
  virtual int max_tokens() const = 0;  // 256 for all-MiniLM-L6-v2
  virtual std::string model() const = 0;
};

}  // namespace stoa::data
