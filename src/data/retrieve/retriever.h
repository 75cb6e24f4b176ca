// Search over collections: words and meaning, fused, and only in what the caller may read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/retrieval.h"
#include "data/index/embedder.h"
#include "data/index/index.h"
#include "data/index/reranker.h"
#include "data/sources/catalog.h"

namespace stoa::data {

enum class SearchMode { kHybrid, kText, kVector };
Result<SearchMode> parse_search_mode(std::string_view name);  // hybrid text vector

// How what words find and what meaning finds become one order.
enum class Fusion {
  // The weight of text times the BM25 score as a share of the best passage's, and the rest times the mean of two cosines: of the query to the passage, and to the sentence of
  // it that is nearest. Each passage is measured both ways, whichever search found it.
  kWeighted,
  // Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): the sum of weight / (rank_k + rank) over both lists.
  kRanks,
};
Result<Fusion> parse_fusion(std::string_view name);  // weighted rrf

// The defaults are measured on questions over encyclopedic paragraphs with all-MiniLM-L6-v2: MRR@10 0.911 weighted (0.2 to 0.4 is alike), 0.885 by ranks with the whole
// passages' vectors alone.
struct FusionOptions {
  double text_weight = 0.3;     // the rest is that of meaning
  double rank_k = 2;
  std::size_t candidates = 50;  // of each list, at least
};

struct SearchOptions {
  std::size_t k = 10;                     // 1..100
  SearchMode mode = SearchMode::kHybrid;  // without an embedder hybrid is text
  Filter filter;                          // an empty one lets everything through
  double min_score = 0;                   // 0..1
  Fusion fusion = Fusion::kWeighted;
  std::size_t rerank = 0;                 // so many of the best are read together with the query by a cross-encoder, which orders them anew; 0: none; 1..100, at least k
};

// Why a passage stands where it does. Ranks count from 1; 0: that search did not find it among its candidates.
struct Standing {
  int text_rank = 0, vector_rank = 0;
  double text_score = 0;       // BM25 as a share of the best passage's
  double passage_cosine = 0;   // of the query to the passage, and to its nearest sentence; 0 where it has no vectors
  double sentence_cosine = 0;
  double fused = 0;            // the score before any reranking
  std::optional<double> relevance;  // by the cross-encoder, 0..1
};

struct Found {
  Passage passage;
  Standing why;
};

// The one score of a passage that was looked for by words, by vectors or by both; 0..1.
double fused_score(const Standing& why, bool text, bool vector, Fusion fusion, const FusionOptions& options);

// Scores of passages lie between 0 and 1: weighted ones as above, those by ranks divided by the best possible, text alone by that of the best hit, vectors alone the mean of
// the two cosines, reranked ones the cross-encoder's relevance. Thread-safe.
class Retriever {
 public:
  // `embedder` and `reranker` may be null.
  Retriever(Catalog& catalog, const Index& index, Embedder* embedder, Reranker* reranker = nullptr, FusionOptions fusion = {});

  // Best first. Errors: kNotFound (a collection is not the caller's), kInvalidArgument (empty or oversized query, k, filter, vector mode without an embedder, rerank
  // without a reranker), those of the models.
  Result<std::vector<Found>> find(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options = {});
  // The same without the reasons.
  Result<std::vector<Passage>> search(const Call& call, std::span<const std::string> collections, const std::string& query,
                                      const SearchOptions& options = {});
  // The original of a document, for opening a citation.
  Result<DocumentContent> document(const Call& call, const std::string& id) { return catalog_.open_document(call, id); }

 private:
  struct Candidate {
    ChunkKey key = 0;
    Standing why;
  };
  Result<std::vector<Candidate>> rank(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options);
  // How near they are, from their rows.
  Status measure(const Call& call, std::span<const float> query, std::vector<Candidate>& candidates);
  // The passages of the best candidates, reranked where that is asked for.
  Result<std::vector<Found>> open(const Call& call, const std::vector<Candidate>& candidates, const std::string& query, const SearchOptions& options);
  Status rerank(const Call& call, std::vector<Found>& found, const std::string& query);

  Catalog& catalog_;
  const Index& index_;
  Embedder* const embedder_;
  Reranker* const reranker_;
  const FusionOptions fusion_;
};

}  // namespace stoa::data
