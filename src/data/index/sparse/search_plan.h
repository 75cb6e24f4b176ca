// What a search knows once statistics are taken, and the best hits so far. Internal to this folder.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "data/index/sparse/sparse_search.h"

namespace stoa::data {

// What a search reads of an index.
class SparseReader {
 public:
  explicit SparseReader(const SparseIndex& index) : index_(index) {}
  const TermDictionary& dictionary() const { return index_.dictionary_; }
  const PostingList& list(std::uint32_t term) const { return index_.terms_[term].list; }
  std::uint32_t passages_with(std::uint32_t term) const { return index_.terms_[term].passages; }
  OrdinalView view(std::uint32_t term) const { return index_.view_of(term); }
  std::uint32_t ordinals() const { return static_cast<std::uint32_t>(index_.passages_.size()); }
  const std::uint32_t* lengths() const { return index_.lengths_.data(); }
  bool lives(std::uint32_t ordinal) const { return index_.passages_[ordinal].slot != SparseIndex::kNoSlot; }
  std::uint32_t slot(std::uint32_t ordinal) const { return index_.passages_[ordinal].slot; }
  std::uint32_t ordinal(std::uint32_t slot) const { return index_.ordinal_of(slot); }
  template <class Visit>
  void for_each_term(std::uint32_t ordinal, Visit visit) const {
    SparseIndex::for_each_term(index_.passages_[ordinal], visit);
  }

 private:
  const SparseIndex& index_;
};

// A part of a query that scores by itself: a term, a phrase, or the terms that a beginning or a near spelling stands for.
struct SearchLeaf {
  std::vector<std::string> terms;           // one, the words of the phrase, or the terms it stands for
  std::vector<std::uint32_t> places;        // of a phrase's words
  std::uint32_t slop = 0;
  std::vector<std::uint64_t> passages;      // with each term
  double idf = 0;
};

struct Bm25 {
  double k1, b, mean;
  double norm(std::uint32_t length) const { return k1 * (1 - b + b * length / mean); }
  double score(double idf, double frequency, std::uint32_t length) const { return idf * frequency * (k1 + 1) / (frequency + norm(length)); }
};

class BestHits {
 public:
  explicit BestHits(std::size_t k) : k_(k) {}
  std::size_t k() const { return k_; }
  // What a hit has to reach: less is of no use, as much may be.
  double threshold() const { return hits_.size() < k_ ? 0 : hits_.front().score; }
  void add(const SparseHit& hit);
  std::vector<SparseHit> take();

 private:
  std::size_t k_;
  std::vector<SparseHit> hits_;  // a heap with the worst on top
};

// The passages of one segment that may be hits.
class SearchScope {
 public:
  SearchScope(const SparseReader& reader, const SparseScope& scope) : reader_(reader), scope_(scope) {}
  bool admits(std::uint32_t ordinal) const {
    const std::uint32_t slot = reader_.slot(ordinal);
    return slot <= SparseIndex::kMaxSlot && (scope_.allowed == nullptr || allows(slot));
  }
  bool is_filtered() const { return scope_.allowed != nullptr; }
  // Calls `visit` with the ordinals of all that may be hits, in the order of their slots; only where is_filtered().
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t i = 0; i < scope_.allowed->size(); ++i) {
      for (std::uint64_t word = (*scope_.allowed)[i]; word != 0; word &= word - 1) {
        const std::size_t slot = i * 64 + static_cast<std::size_t>(std::countr_zero(word));
        const std::uint32_t ordinal = slot > SparseIndex::kMaxSlot ? kNoOrdinal : reader_.ordinal(static_cast<std::uint32_t>(slot));
        if (ordinal != kNoOrdinal) visit(ordinal);
      }
    }
  }
  // Ordinals of all that may be hits, ascending, unless there are more than `most`.
  bool list(std::size_t most, std::vector<std::uint32_t>& ordinals) const;
  SparseHit hit(std::uint32_t ordinal, double score) const;

 private:
  bool allows(std::uint32_t slot) const { return slot / 64 < scope_.allowed->size() && ((*scope_.allowed)[slot / 64] >> (slot % 64) & 1) != 0; }
  const SparseReader& reader_;
  const SparseScope& scope_;
};

struct BagEntry {
  std::uint32_t leaf = 0;
  double weight = 0;  // idf times boost
};

// Hits of a bag of words; of each leaf the one term counts.
void search_bag(const SparseReader& reader, const std::vector<SearchLeaf>& leaves, const std::vector<BagEntry>& bag, const Bm25& bm25, const SearchScope& scope, BestHits& best);
// Hits of any query, whose leaves come in the order of `leaves` when it is walked from left to right.
void search_tree(const SparseReader& reader, const SparseQuery& query, const std::vector<SearchLeaf>& leaves, const std::vector<std::uint32_t>& leaf_of, const Bm25& bm25, const SearchScope& scope,
                 BestHits& best);

}  // namespace stoa::data
