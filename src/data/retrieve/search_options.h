// What a search can be asked for, and its bounds.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "data/index/attributes.h"
#include "data/sources/catalog.h"

namespace stoa::data {

enum class SearchMode { kHybrid, kText, kVector };
Result<SearchMode> parse_search_mode(std::string_view name);  // hybrid text vector
std::string_view search_mode_name(SearchMode mode);

// How what words find and what meaning finds become one order.
enum class Fusion {
  // The weight of text times the BM25 score as a share of the most that the query could give, and the rest times the mean of two cosines: of the query to the passage, and to
  // the sentence of it that is nearest. So words count little where no passage has the rare ones of the query. Each passage is measured both ways, whichever search found it.
  // Of several phrasings, the best score counts (CombMAX, Fox and Shaw 1994).
  kWeighted,
  // Reciprocal rank fusion (Cormack, Clarke, Buettcher 2009): the sum of weight / (rank_k + rank) over both lists, and over those of all phrasings.
  kRanks,
};
Result<Fusion> parse_fusion(std::string_view name);  // weighted rrf

// The defaults are measured with all-MiniLM-L6-v2 on questions over encyclopedic paragraphs and on those of technical FAQs (docs/benchmarks.md): more weight for words serves
// the former, less the latter.
struct FusionOptions {
  double text_weight = 0.4;     // the rest is that of meaning
  double rank_k = 2;
  std::size_t candidates = 50;  // of each list, at least
  double rewrite_weight = 0.8;  // of a phrasing that a model made, beside 1 of the caller's: what the question itself finds well stays before it
};

// Older documents count less: a score is multiplied by 1 - weight * (1 - 2^(-age / half_life)), so that it loses half of `weight` after one half-life and never more than all
// of it.
struct Decay {
  Micros half_life = 0;   // 0: none; else 1 minute to 100 years
  double weight = 0.5;    // 0..1
  std::string attribute;  // that holds the document's time, seconds since 1970 or RFC 3339; empty, and for documents that have no such time: since it came in
};
// "90m", "36h", "30d", "2w" (weeks), "1y" (365 days). kInvalidArgument.
Result<Micros> parse_half_life(std::string_view text);
double decay_factor(Micros age, const Decay& decay);

Result<Surroundings> parse_surroundings(std::string_view name);  // none neighbours section

// How the text of a query is read by the search of words: as words alone, or with the signs of data/index/sparse/query_syntax.h.
enum class QuerySyntax { kPlain, kOperators };
Result<QuerySyntax> parse_query_syntax(std::string_view name);  // plain operators
// The words of a query with operators, for its meaning: neither signs nor words that must not be there. The query itself where nothing is left.
std::string without_signs(std::string_view query);

struct SearchOptions {
  std::size_t k = 10;                     // 1..100
  SearchMode mode = SearchMode::kHybrid;  // without an embedder hybrid is text
  Filter filter;                          // an empty one lets everything through
  double min_score = 0;                   // 0..1
  Fusion fusion = Fusion::kWeighted;
  std::optional<double> text_weight{};    // 0..1, of words beside meaning; absent: what FusionOptions says
  std::size_t rerank = 0;                 // so many of the best are read together with the query by a cross-encoder, which orders them anew; 0: none; 1..100, at least k
  std::vector<std::string> queries{};     // the same in other words: searched for beside the query, and fused with it
  std::size_t rewrite = 0;                // so many other phrasings are asked of a model; with the query and `queries` at most kMaxPhrasings
  double diversity = 0;                   // 0..1: how much likeness to better passages counts against one (maximal marginal relevance, diversity.h); 0: not at all
  Decay decay{};
  Surroundings context = Surroundings::kNeighbours;  // what Passage::context holds
  QuerySyntax syntax = QuerySyntax::kPlain;
};

inline constexpr std::size_t kMaxPhrasings = 8;

// What this server can do of it, in the collections that are searched.
struct SearchMeans {
  bool embedder = false, reranker = false, rewriter = false;
};

// Both kInvalidArgument, which names the parameter: what no server does, and what this one cannot do.
Status check_search(std::span<const std::string> collections, const std::string& query, const SearchOptions& options);
Status check_means(const SearchOptions& options, const SearchMeans& means);

// The comparisons of `filter` that hold for a document with these attributes, as "year >= 2021 (2024)": what let it through.
std::vector<std::string> satisfied_comparisons(const Filter& filter, const Attributes& attributes);

}  // namespace stoa::data
