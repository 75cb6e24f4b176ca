// Sets of slots as bits: bit s % 64 of word s / 64 for slot s. What data/index/dense and data/index/sparse take as filters.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace stoa::data {

class SlotBitmap {
 public:
  void set(std::uint32_t slot) {
    if (slot / 64 >= words_.size()) words_.resize(slot / 64 + 1);
    words_[slot / 64] |= 1ull << slot % 64;
  }
  void reset(std::uint32_t slot) {
    if (slot / 64 < words_.size()) words_[slot / 64] &= ~(1ull << slot % 64);
  }
  bool test(std::uint32_t slot) const { return slot / 64 < words_.size() && (words_[slot / 64] >> slot % 64 & 1) != 0; }

  std::size_t count() const {
    std::size_t bits = 0;
    for (const std::uint64_t word : words_) bits += static_cast<std::size_t>(std::popcount(word));
    return bits;
  }
  std::span<const std::uint64_t> words() const { return words_; }

  SlotBitmap& operator|=(const SlotBitmap& other) {
    if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
    for (std::size_t i = 0; i < other.words_.size(); ++i) words_[i] |= other.words_[i];
    return *this;
  }
  SlotBitmap& operator&=(const SlotBitmap& other) {
    words_.resize(std::min(words_.size(), other.words_.size()));
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= other.words_[i];
    return *this;
  }
  SlotBitmap& operator-=(const SlotBitmap& other) {
    for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) words_[i] &= ~other.words_[i];
    return *this;
  }

 private:
  std::vector<std::uint64_t> words_;
};

}  // namespace stoa::data
