// Search over collections: words and meaning, fused, and only in what the caller may read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/retrieval.h"
#include "data/index/embedder.h"
#include "data/index/index.h"
#include "data/sources/catalog.h"

namespace stoa::data {

enum class SearchMode { kHybrid, kText, kVector };
Result<SearchMode> parse_search_mode(std::string_view name);  // hybrid text vector

// Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): the sum of weight / (k + rank) over both lists.
// The defaults lean on exact words and let only the first ranks of either list weigh much; measured best of k 1..60 and weights
// 0.5..0.8 on questions over encyclopedic paragraphs with all-MiniLM-L6-v2.
struct FusionOptions {
  double k = 2;
  double text_weight = 0.7;
  double vector_weight = 0.3;
  std::size_t candidates = 100;  // of each list, at least
};

struct SearchOptions {
  std::size_t k = 10;                     // 1..100
  SearchMode mode = SearchMode::kHybrid;  // without an embedder hybrid is text
  Filter filter;                          // an empty one lets everything through
  double min_score = 0;                   // 0..1
};

// Scores of passages: fused ones are divided by the best possible, so 1 means first in both lists; text scores by that of the best
// hit; vector scores are cosines. Thread-safe.
class Retriever {
 public:
  Retriever(Catalog& catalog, const Index& index, Embedder* embedder, FusionOptions fusion = {});

  // Best first. Errors: kNotFound (a collection is not the caller's), kInvalidArgument (empty or oversized query, k, filter,
  // or vector mode without an embedder), those of the embedder.
  Result<std::vector<Passage>> search(const Call& call, std::span<const std::string> collections, const std::string& query,
                                      const SearchOptions& options = {});
  // The original of a document, for opening a citation.
  Result<DocumentContent> document(const Call& call, const std::string& id) { return catalog_.open_document(call, id); }

 private:
  Result<std::vector<Hit>> rank(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options);
  Result<std::vector<float>> embed(const Call& call, const std::string& query);

  Catalog& catalog_;
  const Index& index_;
  Embedder* const embedder_;
  const FusionOptions fusion_;
};

// The fused order of two ranked lists; scores between 0 and 1; equal scores in order of their keys.
std::vector<Hit> fuse(std::span<const Hit> text, std::span<const Hit> vector, const FusionOptions& options);

}  // namespace stoa::data
