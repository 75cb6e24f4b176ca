// Getting rid of what removed passages left in the lists. See ordinals.h for how lists with old and new ordinals live side by side meanwhile.
#include <algorithm>
#include <utility>

#include "data/index/sparse/sparse_index.h"
#include "data/index/sparse/varint.h"

namespace stoa::data {
namespace {

constexpr std::size_t kLeastDead = 16;  // fewer are not worth it

}  // namespace

bool SparseIndex::compact(std::size_t postings) {
  if (compaction_ == nullptr) {
    const std::size_t dead = passages_.size() - live_;
    if (dead < kLeastDead || dead * 5 <= passages_.size()) return false;
    start_compaction();
  }
  while (postings > 0 && compaction_->next_term < terms_.size()) postings -= std::min(postings, rewrite(postings));
  if (compaction_->next_term < terms_.size()) return true;
  finish_compaction();
  return false;
}

void SparseIndex::start_compaction() {
  compaction_ = std::make_unique<Compaction>();
  auto& [old_of_new, new_of_old, shift] = compaction_->renumbering;
  old_of_new.reserve(live_);
  new_of_old.resize(passages_.size(), kNoOrdinal);
  for (std::uint32_t ordinal = 0; ordinal < passages_.size(); ++ordinal) {
    if (passages_[ordinal].slot == kNoSlot) continue;
    new_of_old[ordinal] = static_cast<std::uint32_t>(old_of_new.size());
    old_of_new.push_back(ordinal);
  }
  shift = static_cast<std::uint32_t>(new_of_old.size() - old_of_new.size());
}

// Goes on with the next term, a block at a time. Gives how many postings it looked at, at least one.
std::size_t SparseIndex::rewrite(std::size_t postings) {
  Compaction& state = *compaction_;
  const PostingList& list = terms_[state.next_term].list;
  const OrdinalView view = rewriting_view();
  DecodedPostings block;
  std::size_t done = 1;
  for (; state.next_part < list.parts() && done <= postings; ++state.next_part) {
    list.read_ordinals(state.next_part, block);
    list.read_frequencies(state.next_part, block);
    const std::uint8_t* in = list.positions(state.next_part);
    for (std::uint32_t i = 0; i < block.count; ++i) {
      if (list.is_tail(state.next_part)) in = skip_varints(in, 2);
      const std::uint8_t* end = skip_varints(in, block.frequencies[i]);
      if (passages_[block.ordinals[i]].slot != kNoSlot) {
        state.rewritten.append(state.renumbering.new_ordinal(block.ordinals[i]), block.frequencies[i], {in, end}, view);
      }
      in = end;
    }
    done += block.count;
  }
  if (state.next_part == list.parts()) finish_term();
  return done;
}

void SparseIndex::finish_term() {
  Compaction& state = *compaction_;
  Term& term = terms_[state.next_term];
  term.list = std::exchange(state.rewritten, PostingList());
  term.list.shrink();
  if (term.list.empty() && !dictionary_.is_free(state.next_term)) dictionary_.remove(state.next_term);
  state.next_part = 0;
  ++state.next_term;
}

void SparseIndex::finish_compaction() {
  const Renumbering renumbering = std::move(compaction_->renumbering);
  compaction_.reset();
  std::vector<Passage> passages;
  std::vector<std::uint32_t> lengths;
  passages.reserve(passages_.size() - renumbering.shift);
  lengths.reserve(passages_.size() - renumbering.shift);
  dead_words_ = 0;
  for (std::uint32_t ordinal = 0; ordinal < passages_.size(); ++ordinal) {
    if (renumbering.new_ordinal(ordinal) == kNoOrdinal) continue;
    Passage& passage = passages_[ordinal];
    if (passage.slot == kNoSlot) {
      dead_words_ += lengths_[ordinal];  // removed since it began: its postings may be there
    } else {
      set_ordinal(passage.slot, static_cast<std::uint32_t>(passages.size()));
    }
    passages.push_back(std::move(passage));
    lengths.push_back(lengths_[ordinal]);
  }
  passages_ = std::move(passages);
  lengths_ = std::move(lengths);
  dictionary_.shrink();
}

}  // namespace stoa::data
