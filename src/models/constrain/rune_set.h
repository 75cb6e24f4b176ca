// Sets of Unicode scalar values, and the byte sequences that are their UTF-8.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace stoa::models::constrain {

struct RuneRange {
  char32_t first = 0, last = 0;  // inclusive
  bool operator==(const RuneRange&) const = default;
};

// Surrogates are never members: they have no UTF-8.
class RuneSet {
 public:
  RuneSet() = default;
  RuneSet(std::initializer_list<RuneRange> ranges);
  static RuneSet all() { return {{0, 0x10FFFF}}; }

  void add(char32_t first, char32_t last);
  void add(const RuneSet& other);
  RuneSet inverted() const;
  RuneSet minus(const RuneSet& other) const;
  RuneSet common(const RuneSet& other) const { return minus(other.inverted()); }
  bool contains(char32_t rune) const;
  bool empty() const { return ranges_.empty(); }
  std::span<const RuneRange> ranges() const { return ranges_; }  // ascending, apart from each other
  bool operator==(const RuneSet&) const = default;

 private:
  std::vector<RuneRange> ranges_;
};

struct ByteRange {
  std::uint8_t first = 0, last = 0;
};
struct ByteSequence {
  std::array<ByteRange, 4> bytes;
  int size = 0;
};

// The UTF-8 of a set as sequences of byte ranges: a rune is in the set when its bytes lie in the ranges of one of them.
std::vector<ByteSequence> utf8_sequences(const RuneSet& set);

}  // namespace stoa::models::constrain
