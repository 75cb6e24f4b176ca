// The passages that have a term, how often, and where. Internal to this folder.
//
// Ordinals ascend. Postings wait in a tail of at most 127, one after another as varints (difference to the ordinal before, frequency, differences of
// positions); a full tail is sealed to a block of 128 whose ordinals and frequencies are bit-packed and whose positions go to a stream of their own. The
// header of a block says what its best posting can be worth under any mean length, so that a search passes by blocks that cannot matter.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "data/index/sparse/bit_packing.h"
#include "data/index/sparse/ordinals.h"
#include "data/index/sparse/small_bytes.h"

namespace stoa::data {

// The best that postings can be worth: BM25 grows with the frequency and falls with the length, so none is worth more than once in the shortest passage that
// has the term once, or `most` times in the shortest that has it more often. 16 bits, cut towards what is worth more.
struct BestPostings {
  std::uint16_t shortest_with_one = 0xFFFF;
  std::uint16_t shortest_with_more = 0xFFFF;
  std::uint16_t most = 0;  // 0: none; 0xFFFF: that or more

  void add(std::uint32_t frequency, std::uint32_t length);
  void add(const BestPostings& other);
};

struct PostingBlock {
  std::uint32_t last = 0;       // ordinal
  std::uint32_t data = 0;       // offset of the packed numbers
  std::uint32_t positions = 0;  // offset
  BestPostings best;
  std::uint8_t ordinal_bits = 0, frequency_bits = 0;
};

struct DecodedPostings {
  std::uint32_t count = 0;
  std::array<std::uint32_t, kBlockSize> ordinals;
  std::array<std::uint32_t, kBlockSize> frequencies;
};

class PostingList {
 public:
  // `ordinal` above all before, in the list's numbering, its length known to the view.
  void append(std::uint32_t ordinal, std::span<const std::uint32_t> positions, const OrdinalView& view);
  // The same with differences of positions as another list has them.
  void append(std::uint32_t ordinal, std::uint32_t frequency, std::span<const std::uint8_t> positions, const OrdinalView& view);
  void shrink();  // gives back room kept for more

  bool empty() const { return tail_count_ == 0 && sealed_ == nullptr; }
  std::size_t size() const { return blocks().size() * kBlockSize + tail_count_; }
  std::size_t memory_bytes() const;
  // Sealed blocks; the tail counts as one more where it is not empty.
  std::span<const PostingBlock> blocks() const { return sealed_ == nullptr ? std::span<const PostingBlock>() : std::span<const PostingBlock>(sealed_->blocks); }
  std::size_t parts() const { return blocks().size() + (tail_count_ != 0 ? 1 : 0); }
  std::uint32_t last(std::size_t part) const { return part < blocks().size() ? blocks()[part].last : last_; }
  const BestPostings& best_sealed() const { return sealed_->best; }  // of all blocks; blocks() is not empty

  // Ordinals in the list's numbering.
  void read_ordinals(std::size_t part, DecodedPostings& out) const;      // count too, and of the tail the frequencies
  void read_frequencies(std::size_t part, DecodedPostings& out) const;  // after read_ordinals
  // Where the positions of a part begin; they lie one posting after another, for the tail with the other numbers between them.
  const std::uint8_t* positions(std::size_t part) const;
  bool is_tail(std::size_t part) const { return part == blocks().size(); }

 private:
  friend class ListFile;  // reads and writes what lies here as it is
  struct Sealed {
    std::vector<PostingBlock> blocks;
    std::vector<std::uint8_t> data, positions;
    BestPostings best;
  };
  void finish_posting(std::uint32_t ordinal, const OrdinalView& view);
  void seal(const OrdinalView& view);
  void seal_block(const DecodedPostings& postings, std::span<const std::uint8_t> positions, const OrdinalView& view);

  SmallBytes tail_;
  std::unique_ptr<Sealed> sealed_;
  std::uint32_t last_ = kNoOrdinal;  // of the whole list; kNoOrdinal + 1 == 0 is the first that may come
  std::uint32_t tail_count_ = 0;
};

}  // namespace stoa::data
