#include "data/index/sparse/posting_cursor.h"

#include "data/index/sparse/varint.h"

namespace stoa::data {

void PostingCursor::open(const PostingList* list, const OrdinalView& view) {
  list_ = list;
  view_ = view;
  parts_ = list == nullptr ? 0 : list->parts();
  rewind();
  best_of_tail_ = {};
  if (list == nullptr || parts_ == list->blocks().size()) return;
  // What the tail may be worth is nowhere written: it changes with every passage.
  list->read_ordinals(parts_ - 1, postings_);
  for (std::uint32_t i = 0; i < postings_.count; ++i) best_of_tail_.add(postings_.frequencies[i], view_.length(postings_.ordinals[i]));
}

void PostingCursor::rewind() {
  part_ = mark_ = 0;
  is_open_ = false;
  ordinal_ = parts_ == 0 ? kEnd : 0;
  bound_part_ = std::numeric_limits<std::size_t>::max();
}

std::size_t PostingCursor::part_with(std::uint32_t goal, std::size_t from) const {
  std::size_t step = 1;
  while (from < parts_ && last(from) < goal) {
    // Doubling steps, then halves.
    std::size_t low = from + 1, high = std::min(from + step, parts_);
    if (high < parts_ && last(high) < goal) {
      from = high + 1;
      step *= 2;
      continue;
    }
    while (low < high) {
      const std::size_t middle = (low + high) / 2;
      if (last(middle) < goal) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
  return from;
}

void PostingCursor::read_part(std::size_t part) {
  part_ = part;
  at_ = 0;
  is_open_ = true;
  positions_from_ = nullptr;
  list_->read_ordinals(part, postings_);
  frequencies_read_ = list_->is_tail(part);
  if (view_.renumbering != nullptr) {
    for (std::uint32_t i = 0; i < postings_.count; ++i) postings_.ordinals[i] = view_.current(postings_.ordinals[i]);
  }
}

std::uint32_t PostingCursor::seek_far(std::uint32_t goal) {
  if (ordinal_ == kEnd) return kEnd;
  if (!is_open_ || postings_.ordinals[postings_.count - 1] < goal) {
    const std::size_t part = part_with(goal, is_open_ ? part_ + 1 : 0);
    if (part >= parts_) return ordinal_ = kEnd;
    read_part(part);
  }
  // The numbers ascend: halves until few are left, which go one by one.
  const std::uint32_t* ordinals = postings_.ordinals.data();
  std::uint32_t low = at_, high = postings_.count;
  while (high - low > 8) {
    const std::uint32_t middle = (low + high) / 2;
    if (ordinals[middle] < goal) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  while (ordinals[low] < goal) ++low;
  at_ = low;
  return ordinal_ = ordinals[low];
}

std::uint32_t PostingCursor::next_part() {
  if (part_ + 1 >= parts_) return ordinal_ = kEnd;
  read_part(part_ + 1);
  return ordinal_ = postings_.ordinals[0];
}

const std::uint8_t* PostingCursor::positions() {
  read_frequencies();
  const bool is_tail = list_->is_tail(part_);
  if (positions_from_ == nullptr) {
    positions_from_ = list_->positions(part_);
    positions_at_ = 0;
    if (is_tail) positions_from_ = skip_varints(positions_from_, 2);
  }
  for (; positions_at_ < at_; ++positions_at_) positions_from_ = skip_varints(positions_from_, postings_.frequencies[positions_at_] + (is_tail ? 2 : 0));
  return positions_from_;
}

PostingCursor::Window PostingCursor::look_at(std::uint32_t goal) {
  if (mark_ < parts_) mark_ = part_with(goal, mark_);
  if (mark_ >= parts_) return {};
  const std::uint32_t first = is_open_ && part_ == mark_ ? ordinal_ : mark_ == 0 ? 0 : last(mark_ - 1) + 1;
  return {std::max(first, goal), last(mark_)};
}

float PostingCursor::bound(std::uint32_t end, float weight, const RoughBm25& rough) {
  float most = 0;
  for (std::size_t part = mark_; part < parts_; ++part) {
    most = std::max(most, bound_of_part(part, weight, rough));
    if (last(part) >= end - 1) break;
  }
  return most;
}

float PostingCursor::bound_of_all(float weight, const RoughBm25& rough) const {
  if (parts_ == 0) return 0;
  const float tail = rough.bound(weight, best_of_tail_);
  return list_->blocks().empty() ? tail : std::max(tail, rough.bound(weight, list_->best_sealed()));
}

}  // namespace stoa::data
