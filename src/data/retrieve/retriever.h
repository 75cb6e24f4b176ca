// Search over collections: words and meaning, fused, and only in what the caller may read.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "contracts/call.h"
#include "contracts/retrieval.h"
#include "data/index/embedders.h"
#include "data/index/index.h"
#include "data/index/reranker.h"
#include "data/retrieve/query_rewriter.h"
#include "data/retrieve/search_options.h"
#include "data/sources/catalog.h"

namespace stoa::data {

// What age did to a passage's score.
struct Aged {
  PassageAge age;
  double factor = 1;
};

// What variety did to a passage's place.
struct Varied {
  int rank = 0;         // it would have had; from 1
  double likeness = 0;  // greatest cosine to a passage before it
};

// Why a passage stands where it does. Ranks count from 1; 0: that search did not find it among its candidates. Where several phrasings were searched for, what is said of the
// two searches is of the one that serves the passage best.
struct Standing {
  int text_rank = 0, vector_rank = 0;
  double text_score = 0;       // BM25 as a share of the most that the query can give: 0..1, 1 never reached
  double passage_cosine = 0;   // of the query to the passage, and to its nearest sentence; 0 where it has no vectors
  double sentence_cosine = 0;
  double fused = 0;            // the score before age and any reranking
  std::optional<double> relevance{};  // by the reranker, 0..1
  std::optional<Aged> aged{};         // where age was asked for
  std::optional<Varied> varied{};     // where variety was
  std::size_t query = 0;              // which of Findings::queries serves it best
  std::vector<double> by_query{};     // its score by each of them, not weighted; 0: not among their candidates. Empty where there is one
};

struct Found {
  Passage passage;
  Standing why;
  Attributes attributes{};  // of its document
};

struct Findings {
  std::vector<Found> found;                // best first
  std::vector<std::string> queries;        // what was searched for: the query, the caller's other phrasings, those of a model
  std::size_t asked = 1;                   // of them, the caller's
  std::optional<Rewriting> rewriting{};    // what a model made of the query, to be paid
  std::string rewriting_problem{};         // why it made nothing, where that was asked: the search went on without
  std::int64_t rewriting_micros = 0;       // how long it took
  std::vector<std::string> filter_problems{};  // Index::filter_problems
};

// The one score of a passage that was looked for by words, by vectors or by both; 0..1.
double fused_score(const Standing& why, bool text, bool vector, Fusion fusion, const FusionOptions& options);

// Scores of passages lie between 0 and 1: weighted ones as Fusion says, those by ranks divided by the best possible, text alone by that of the best hit, vectors alone the mean of
// the two cosines, reranked ones the reranker's relevance, as far as its share goes; then age takes its part of them. They order the passages, unless variety was asked for. Thread-safe.
class Retriever {
 public:
  // All pointers may be null; what they point to outlives the object.
  Retriever(Catalog& catalog, const Index& index, Embedders embedders, Reranker* reranker = nullptr, FusionOptions fusion = {}, QueryRewriter* rewriter = nullptr);

  // Each collection is searched with its own embedding model; one whose model cannot be loaded, by words. Errors: kNotFound (a collection is not the caller's), kInvalidArgument
  // (those of check_search and check_means), those of the embedders and the reranker. A rewriter that fails is no error, unless the caller has gone or no time is left.
  Result<Findings> retrieve(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options = {});
  // What was found alone, with the reasons and without.
  Result<std::vector<Found>> find(const Call& call, std::span<const std::string> collections, const std::string& query, const SearchOptions& options = {});
  Result<std::vector<Passage>> search(const Call& call, std::span<const std::string> collections, const std::string& query,
                                      const SearchOptions& options = {});
  // The original of a document, for opening a citation.
  Result<DocumentContent> document(const Call& call, const std::string& id) { return catalog_.open_document(call, id); }
  // What collections without settings of their own can be asked for.
  SearchMeans means() const { return {embedders_.standard() != nullptr, reranker_ != nullptr, rewriter_ != nullptr}; }
  // Catalog::searchable.
  Result<std::vector<CollectionSettings>> settings(const Call& call, std::span<const std::string> collections) { return catalog_.searchable(call, collections); }
  // Null: queries are searched for as they are.
  const QueryRewriter* rewriter() const { return rewriter_; }

 private:
  struct Candidate {
    ChunkKey key = 0;
    Standing why;
    double score() const { return why.fused * (why.aged ? why.aged->factor : 1); }
  };
  using Candidates = std::vector<Candidate>;

  // The queries as one embedding model understands them, one behind the other.
  struct Meanings {
    std::string model;
    std::vector<float> values;
    std::size_t width = 0;
  };

  Status check_time(const Call& call) const;
  // The models of these collections, each once. Those that cannot be loaded are left out, and logged.
  std::vector<Embedder*> embedders_of(std::span<const CollectionSettings> collections) const;
  Status rewrite(const Call& call, const std::string& query, const SearchOptions& options, Findings& findings);
  Result<Candidates> rank(const Call& call, std::span<const std::string> collections, std::span<Embedder* const> embedders, const Findings& findings, const SearchOptions& options);
  // What one phrasing finds, with the scores it gives. `meanings`: its vectors; none: words alone.
  Result<Candidates> rank_one(const Call& call, const Index::Scope& scope, const std::string& query, std::span<const QueryVector> meanings, const SearchOptions& options);
  Candidates fuse(const std::vector<Candidates>& lists, std::size_t asked, Fusion fusion) const;
  // How near they are, from their rows.
  Status measure(const Call& call, std::span<const QueryVector> query, Candidates& candidates);
  Status age(const Call& call, const Decay& decay, Candidates& candidates);
  // The passages of the best candidates, in the order in which they are given out.
  Result<std::vector<Found>> open(const Call& call, const Candidates& candidates, std::span<Embedder* const> embedders, const std::string& query, const SearchOptions& options);
  Status rerank(const Call& call, std::vector<Found>& found, std::vector<ChunkKey>& keys, const std::string& query);
  Status vary(const Call& call, std::span<Embedder* const> embedders, std::vector<Found>& found, std::vector<ChunkKey>& keys, const SearchOptions& options);

  Catalog& catalog_;
  const Index& index_;
  const Embedders embedders_;
  Reranker* const reranker_;
  QueryRewriter* const rewriter_;
  const FusionOptions fusion_;
};

}  // namespace stoa::data
