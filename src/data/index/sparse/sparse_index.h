// The text index of one segment: which passages have which words, how often and where. It knows nothing of principals, documents or keys; passages are
// slots, small numbers that the caller gives out and may give out again.
//
// Statistics (passages(), words(), passages_with()) are at any moment those of the slots that live. A removed passage leaves its postings behind until
// more than a fifth of all passages are dead; then a compaction writes the lists anew without them, a bounded number of postings with each write to the
// index, and gives their memory back.
//
// Threads: any number may read (search, save, statistics) at the same time; put, remove, compact exclude everything else. The owner holds the
// lock. A write of a passage of 100 words takes some tens of microseconds; the last step of a compaction moves about 16 bytes for each passage.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "data/index/analysis/analyzer.h"
#include "data/index/sparse/ordinals.h"
#include "data/index/sparse/posting_list.h"
#include "data/index/sparse/term_dictionary.h"
#include "data/index/sparse/varint.h"

namespace stoa::data {

class SparseIndex {
 public:
  static constexpr std::uint32_t kMaxSlot = (1u << 28) - 1;
  static constexpr std::uint32_t kMaxPassageWords = 1u << 21;   // tokens, and greatest position
  static constexpr std::uint64_t kMaxWords = 1ull << 30;        // of the segment, dead passages included

  SparseIndex() = default;
  SparseIndex(SparseIndex&&) noexcept = default;
  SparseIndex& operator=(SparseIndex&&) noexcept = default;

  // Adds a passage, in place of what the slot held. Its length is the number of its tokens, which are in order of their positions; a passage without any
  // counts as one without words. kInvalidArgument: a slot above kMaxSlot, a term of no or more than 255 bytes, positions that descend; kTooLarge: more
  // than kMaxPassageWords; kResourceExhausted: the segment is full. Nothing is changed then.
  Status put(std::uint32_t slot, const AnalysedText& text);
  void remove(std::uint32_t slot);  // nothing, where the slot holds none
  // What put was given, without places in the source. Empty where the slot holds none.
  AnalysedText extract(std::uint32_t slot) const;

  bool contains(std::uint32_t slot) const { return ordinal_of(slot) != kNoOrdinal; }
  std::uint32_t passages() const { return live_; }
  std::uint64_t words() const { return words_; }  // of all passages together
  std::uint64_t held_words() const { return words_ + dead_words_; }  // what kMaxWords bounds
  std::uint32_t passages_with(std::string_view term) const;

  // A step of a compaction, where one runs or is due: rewrites about that many postings. Says whether there is more to do. Writes do this by
  // themselves; an owner with time to spare may call it.
  bool compact(std::size_t postings);

  // All of it, in the process's memory. Looks at every term.
  std::size_t memory_bytes() const;

  // A snapshot (docs/formats/sparse-index.md), and the index of one. Bytes may come from anywhere: kDataLoss for what is no whole snapshot,
  // kUnsupported for one of another version. Opened by as many threads as said.
  std::string save() const;
  static Result<SparseIndex> load(std::string_view bytes, int threads = 1);

 private:
  friend class SparseReader;    // what a search reads
  friend class SparseSnapshot;
  static constexpr std::uint32_t kNoSlot = 0xFFFFFFFF;
  static constexpr std::size_t kPage = 256;  // slots
  struct Term {
    PostingList list;
    std::uint32_t passages = 0;  // that live
  };
  struct Compaction {
    Renumbering renumbering;
    std::uint32_t next_term = 0;   // lists of terms before it have new ordinals
    PostingList rewritten;         // what is done of next_term
    std::size_t next_part = 0;
  };
  struct Passage {
    std::uint32_t slot = kNoSlot;
    std::unique_ptr<std::uint8_t[]> terms;  // number of them, then their ascending numbers as differences, all varints; null when dead
  };

  std::uint32_t ordinal_of(std::uint32_t slot) const;
  void set_ordinal(std::uint32_t slot, std::uint32_t ordinal);
  bool is_rewritten(std::uint32_t term) const { return compaction_ != nullptr && term < compaction_->next_term; }
  OrdinalView view_of(std::uint32_t term) const { return {lengths_.data(), is_rewritten(term) ? &compaction_->renumbering : nullptr}; }
  OrdinalView rewriting_view() const { return {lengths_.data(), &compaction_->renumbering}; }
  Status check(std::uint32_t slot, const AnalysedText& text) const;
  template <class Visit>
  static void for_each_term(const Passage& passage, Visit visit) {
    if (passage.terms == nullptr) return;
    const std::uint8_t* in = passage.terms.get();
    std::uint32_t term = 0;
    for (std::uint32_t left = get_varint(in); left > 0; --left) visit(term += get_varint(in));
  }
  static std::unique_ptr<std::uint8_t[]> pack_terms(const std::vector<std::uint32_t>& terms);

  void start_compaction();
  std::size_t rewrite(std::size_t postings);
  void finish_term();
  void finish_compaction();

  TermDictionary dictionary_;
  std::vector<Term> terms_;                 // by number
  std::vector<Passage> passages_;           // by ordinal
  std::vector<std::uint32_t> lengths_;      // by ordinal, in words
  std::vector<std::unique_ptr<std::uint32_t[]>> pages_;  // ordinal by slot
  std::unique_ptr<Compaction> compaction_;
  std::uint32_t live_ = 0;
  std::uint64_t words_ = 0, dead_words_ = 0;
};

}  // namespace stoa::data
