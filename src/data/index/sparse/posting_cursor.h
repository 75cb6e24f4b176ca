// A walk through the postings of a term, by ordinals as the index numbers them. Internal to this folder.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "data/index/sparse/posting_list.h"

namespace stoa::data {

// BM25 in single precision, to find out which passages are worth the exact sum: kSlack covers what it may be off by, for a thousand terms.
struct RoughBm25 {
  float base = 0, slope = 0;  // norm = base + slope * length
  float score(float weight, float frequency, float length) const { return weight * frequency / (frequency + base + slope * length); }
  // No posting of the block is worth more.
  float bound(float weight, const BestPostings& best) const {
    if (best.most == 0) return 0;
    const float once = score(weight, 1, best.shortest_with_one);
    if (best.most == 1) return once;
    return std::max(once, best.most == 0xFFFF ? weight : score(weight, best.most, best.shortest_with_more));
  }
};
constexpr float kSlack = 2.5e-4f;

class PostingCursor {
 public:
  static constexpr std::uint32_t kEnd = kNoOrdinal;

  // Stands before the first posting. `list` may be null: no posting at all.
  void open(const PostingList* list, const OrdinalView& view);
  void rewind();

  // The posting that the cursor stands on, after seek(); kEnd behind the last.
  std::uint32_t ordinal() const { return ordinal_; }
  // Goes to the first posting at or after `goal`. Never back.
  std::uint32_t seek(std::uint32_t goal) {
    if (ordinal_ != kEnd && ordinal_ >= goal && is_open_) return ordinal_;
    return seek_far(goal);
  }
  std::uint32_t next() {
    if (++at_ < postings_.count) return ordinal_ = postings_.ordinals[at_];
    return next_part();
  }
  std::uint32_t frequency() {
    read_frequencies();
    return postings_.frequencies[at_];
  }
  // Where the positions of the posting begin; as many as its frequency.
  const std::uint8_t* positions();

  // The part at hand, from the posting that the cursor stands on.
  const DecodedPostings& part() const { return postings_; }
  std::uint32_t at() const { return at_; }
  std::size_t part_number() const { return part_; }
  void read_frequencies() {
    if (frequencies_read_) return;
    list_->read_frequencies(part_, postings_);
    frequencies_read_ = true;
  }

  // Without reading postings: moves a mark, never back, to the part that has or passes `goal`.
  struct Window {
    std::uint32_t first = kEnd;  // no posting at or after the goal comes before it
    std::uint32_t last = kEnd;   // the part's last ordinal
  };
  Window look_at(std::uint32_t goal);
  // What a posting in [goal, end) may be worth at most; look_at(goal) came before.
  float bound(std::uint32_t end, float weight, const RoughBm25& rough);
  // What a posting of exactly that ordinal may be worth; moves the mark there.
  float bound_at(std::uint32_t ordinal, float weight, const RoughBm25& rough) {
    if (mark_ < parts_ && last(mark_) < ordinal) mark_ = part_with(ordinal, mark_);
    return mark_ < parts_ ? bound_of_part(mark_, weight, rough) : 0;
  }
  float bound_of_all(float weight, const RoughBm25& rough) const;
  // One above the last ordinal of the first `parts` parts.
  std::uint32_t end_of(std::size_t parts) const { return parts_ == 0 ? 0 : last(std::min(parts, parts_) - 1) + 1; }
  std::size_t size() const { return list_ == nullptr ? 0 : list_->size(); }

 private:
  std::uint32_t last(std::size_t part) const { return view_.current(list_->last(part)); }
  std::size_t part_with(std::uint32_t goal, std::size_t from) const;  // the first whose last is not below the goal
  float bound_of_part(std::size_t part, float weight, const RoughBm25& rough) {
    if (part != bound_part_) {
      bound_part_ = part;
      bound_ = rough.bound(weight, list_->is_tail(part) ? best_of_tail_ : list_->blocks()[part].best);
    }
    return bound_;
  }
  void read_part(std::size_t part);
  std::uint32_t seek_far(std::uint32_t goal);
  std::uint32_t next_part();

  const PostingList* list_ = nullptr;
  OrdinalView view_;
  std::size_t parts_ = 0, part_ = 0, mark_ = 0;
  std::uint32_t ordinal_ = 0, at_ = 0;
  bool is_open_ = false, frequencies_read_ = false;
  std::size_t bound_part_ = std::numeric_limits<std::size_t>::max();
  float bound_ = 0;
  std::uint32_t positions_at_ = 0;             // the posting of this part to which positions_from_ belongs
  const std::uint8_t* positions_from_ = nullptr;  // null: none yet
  BestPostings best_of_tail_;
  DecodedPostings postings_;
};

}  // namespace stoa::data
