// One search by words over the segments that its principal may read.
//
//   SparseSearch search(query, options, k);
//   for (segment : opened) search.count(segment, readable);
//   for (segment : opened) search.run(segment, scope);
//   hits = search.take();
//
// First the statistics: passages, words and passages with each term are those of all that is counted together, whole segments or some of their slots, so that a search gives exactly
// what it would give if nothing else existed. Then segment after segment is searched; all share the k best so far, so that later ones pass by what cannot be
// among them any more. Bags of words are searched with block-max MaxScore (windows of passages, in each of which the terms that cannot make a hit by
// themselves are only looked up), everything else passage by passage, windows that cannot hold a hit left out. Both give what scoring every passage
// gives, to the bit.
//
// A term scores as in Robertson and Zaragoza (2009): idf * tf * (k1 + 1) / (tf + k1 * (1 - b + b * length / mean)) with the idf
// ln(1 + (N - df + 0.5) / (df + 0.5)), which is never negative, times its boost. A passage's score adds what matches, in the order of the query. A phrase counts
// as a term whose tf is how often it stands there and whose idf is the sum of its words'; the terms that a beginning or a near spelling stands for
// count as one term, with the tf of all and the df of the most frequent. There are at most 64 of these: those fewest edits away, then the most
// frequent, each segment naming its 256 best.
//
// Threads: a search is one thread's; the segments must not change between count() and take().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/index/sparse/sparse_index.h"
#include "data/index/sparse/sparse_query.h"

namespace stoa::data {

struct SparseOptions {
  double k1 = 1.2;
  double b = 0.75;
};

struct SparseHit {
  double score = 0;
  std::int64_t key = 0;       // of equal scores the lower key is better
  std::uint32_t segment = 0;  // as its scope said
  std::uint32_t slot = 0;
};

struct SparseScope {
  std::uint32_t segment = 0;                // told in hits
  std::span<const std::int64_t> keys = {};  // by slot; empty: the slots themselves are the keys
  // A bit for each slot that may be found; slots beyond it may not. Statistics do not depend on it. Null: all.
  const std::span<const std::uint64_t>* allowed = nullptr;
};

class SparseSearch {
 public:
  SparseSearch(const SparseQuery& query, SparseOptions options, std::size_t k);
  ~SparseSearch();

  // `readable`: a bit for each slot that counts, slots beyond it do not; the terms of their passages are looked through then, or the postings of the query's terms if these are fewer. Null: all.
  void count(const SparseIndex& segment, const std::span<const std::uint64_t>* readable = nullptr);
  void run(const SparseIndex& segment, const SparseScope& scope);
  // More than any passage scores, once segments are counted: what one would that had every word of the query times without number. Above 0.
  double bound() const;
  std::vector<SparseHit> take();  // best first

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stoa::data
