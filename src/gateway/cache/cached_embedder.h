// An embedder before which a cache stands. Inside the module: Cache::wrap makes it.
#pragma once

#include "gateway/cache/cache.h"

namespace stoa::gateway {

// Each text is looked for by itself; those that are not there are embedded together.
class CachedEmbedder final : public data::Embedder {
 public:
  CachedEmbedder(Cache& cache, data::Embedder& inner) : cache_(cache), inner_(inner) {}

  Result<data::Embeddings> embed(const Call& call, std::span<const std::string> texts) override;
  Result<int> count_tokens(const std::string& text) const override { return inner_.count_tokens(text); }
  int dimensions() const override { return inner_.dimensions(); }
  int max_tokens() const override { return inner_.max_tokens(); }
  std::string model() const override { return inner_.model(); }

 private:
  Cache& cache_;
  data::Embedder& inner_;
};

}  // namespace stoa::gateway
