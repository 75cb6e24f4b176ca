#include "gateway/cache/cached_embedder.h"

#include <algorithm>

#include "infra/crypto/encoding.h"
#include "infra/crypto/hash.h"

namespace stoa::gateway {

Result<data::Embeddings> CachedEmbedder::embed(const Call& call, std::span<const std::string> texts) {
  const auto settings = cache_.settings(call.principal.project);
  if (settings == nullptr || !settings->embeddings || texts.empty()) return inner_.embed(call, texts);
  const auto kept = cache_.make_project(call.principal.project);
  const Micros now = cache_.parts_.clock.now();
  const std::string model = inner_.model();
  std::vector<std::string> keys, missing;
  std::vector<std::optional<CachedEmbedding>> found;
  for (const std::string& text : texts) {
    keys.push_back(infra::to_hex(infra::sha256(fmt::format("{}:{}{}", model.size(), model, text))));
    found.push_back(kept->find_embedding(keys.back(), now));
    if (!found.back()) missing.push_back(text);
  }
  data::Embeddings made;
  if (!missing.empty()) {
    STOA_TRY(embedded, inner_.embed(call, missing));
    made = std::move(embedded);
  }
  data::Embeddings out{.dimensions = inner_.dimensions(), .values = {}, .tokens = {}, .compute_micros = made.compute_micros};
  const auto width = static_cast<std::size_t>(out.dimensions);
  out.values.reserve(texts.size() * width);
  std::size_t next = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (!found[i]) {
      const auto begin = made.values.begin() + static_cast<std::ptrdiff_t>(next * width);
      found[i] = CachedEmbedding{std::vector<float>(begin, begin + static_cast<std::ptrdiff_t>(width)), made.tokens[next]};
      ++next;
      if (cache_.has_room()) kept->put_embedding(keys[i], *found[i], *settings, now);
    } else {
      ++out.cached_texts;
      out.cached_tokens += found[i]->tokens;
    }
    out.values.insert(out.values.end(), found[i]->values.begin(), found[i]->values.end());
    out.tokens.push_back(found[i]->tokens);
  }
  cache_.count_texts(static_cast<std::size_t>(out.cached_texts), missing.size());
  return out;
}

}  // namespace stoa::gateway
