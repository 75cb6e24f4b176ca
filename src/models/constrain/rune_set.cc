#include "models/constrain/rune_set.h"

#include <algorithm>

#include "base/utf8.h"

namespace stoa::models::constrain {
namespace {

constexpr char32_t kLast = 0x10FFFF, kSurrogates = 0xD800, kAfterSurrogates = 0xE000;

void split(char32_t first, char32_t last, std::vector<ByteSequence>& out) {
  for (const char32_t border : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}})
    if (first <= border && border < last) {
      split(first, border, out);
      split(border + 1, last, out);
      return;
    }
  // Inside one length, a continuation byte may only vary freely when everything after it does.
  const int length = first < 0x80 ? 1 : first < 0x800 ? 2 : first < 0x10000 ? 3 : 4;
  for (int i = 1; i < length; ++i) {
    const char32_t low = (char32_t{1} << (6 * i)) - 1;
    if ((first & ~low) == (last & ~low)) continue;
    if ((first & low) != 0) {
      split(first, first | low, out);
      split((first | low) + 1, last, out);
      return;
    }
    if ((last & low) != low) {
      split(first, (last & ~low) - 1, out);
      split(last & ~low, last, out);
      return;
    }
  }
  std::string from, to;
  append_rune(from, first);
  append_rune(to, last);
  ByteSequence sequence{.size = length};
  for (std::size_t i = 0; i < from.size(); ++i) sequence.bytes[i] = {static_cast<std::uint8_t>(from[i]), static_cast<std::uint8_t>(to[i])};
  out.push_back(sequence);
}

}  // namespace

RuneSet::RuneSet(std::initializer_list<RuneRange> ranges) {
  for (const auto& range : ranges) add(range.first, range.last);
}

void RuneSet::add(char32_t first, char32_t last) {
  last = std::min(last, kLast);
  if (first < kAfterSurrogates && last >= kSurrogates) {
    if (first < kSurrogates) add(first, kSurrogates - 1);
    if (last >= kAfterSurrogates) add(kAfterSurrogates, last);
    return;
  }
  if (first > last) return;
  std::vector<RuneRange> merged;
  merged.reserve(ranges_.size() + 1);
  RuneRange fresh{first, last};
  bool placed = false;
  for (const auto& range : ranges_) {
    if (range.last + 1 < fresh.first) {
      merged.push_back(range);
    } else if (fresh.last + 1 < range.first) {
      if (!placed) merged.push_back(fresh);
      placed = true;
      merged.push_back(range);
    } else {
      fresh = {std::min(fresh.first, range.first), std::max(fresh.last, range.last)};
    }
  }
  if (!placed) merged.push_back(fresh);
  ranges_ = std::move(merged);
}

void RuneSet::add(const RuneSet& other) {
  for (const auto& range : other.ranges_) add(range.first, range.last);
}

RuneSet RuneSet::inverted() const {
  RuneSet out;
  char32_t next = 0;
  for (const auto& range : ranges_) {
    if (range.first > next) out.add(next, range.first - 1);
    next = range.last + 1;
  }
  out.add(next, kLast);
  return out;
}

RuneSet RuneSet::minus(const RuneSet& other) const {
  RuneSet out;
  const RuneSet keep = other.inverted();
  for (const auto& a : ranges_)
    for (const auto& b : keep.ranges_)
      if (a.first <= b.last && b.first <= a.last) out.add(std::max(a.first, b.first), std::min(a.last, b.last));
  return out;
}

bool RuneSet::contains(char32_t rune) const {
  return std::ranges::any_of(ranges_, [rune](const RuneRange& range) { return range.first <= rune && rune <= range.last; });
}

std::vector<ByteSequence> utf8_sequences(const RuneSet& set) {
  std::vector<ByteSequence> out;
  for (const auto& range : set.ranges()) split(range.first, range.last, out);
  return out;
}

}  // namespace stoa::models::constrain
