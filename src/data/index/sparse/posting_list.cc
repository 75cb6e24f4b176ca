#include "data/index/sparse/posting_list.h"

#include <algorithm>

#include "data/index/sparse/varint.h"

namespace stoa::data {
namespace {

// Grows by a quarter: a doubling would leave a third of a large index empty.
template <class T>
void make_room(std::vector<T>& row, std::size_t more) {
  const std::size_t needed = row.size() + more;
  if (needed > row.capacity()) row.reserve(needed + needed / 4);
}

std::uint16_t at_most_16_bits(std::uint32_t value) { return static_cast<std::uint16_t>(std::min<std::uint32_t>(value, 0xFFFF)); }

}  // namespace

void BestPostings::add(std::uint32_t frequency, std::uint32_t length) {
  auto& shortest = frequency == 1 ? shortest_with_one : shortest_with_more;
  shortest = std::min(shortest, at_most_16_bits(length));
  most = std::max(most, at_most_16_bits(frequency));
}

void BestPostings::add(const BestPostings& other) {
  shortest_with_one = std::min(shortest_with_one, other.shortest_with_one);
  shortest_with_more = std::min(shortest_with_more, other.shortest_with_more);
  most = std::max(most, other.most);
}

void PostingList::append(std::uint32_t ordinal, std::span<const std::uint32_t> positions, const OrdinalView& view) {
  std::array<std::uint8_t, 64> buffer;
  std::uint8_t* out = put_varint(buffer.data(), ordinal - last_);
  out = put_varint(out, static_cast<std::uint32_t>(positions.size()));
  std::uint32_t before = 0;
  for (const std::uint32_t position : positions) {
    if (out + kMaxVarint > buffer.data() + buffer.size()) {
      tail_.append(buffer.data(), static_cast<std::uint32_t>(out - buffer.data()));
      out = buffer.data();
    }
    out = put_varint(out, position - before);
    before = position;
  }
  tail_.append(buffer.data(), static_cast<std::uint32_t>(out - buffer.data()));
  finish_posting(ordinal, view);
}

void PostingList::append(std::uint32_t ordinal, std::uint32_t frequency, std::span<const std::uint8_t> positions, const OrdinalView& view) {
  std::array<std::uint8_t, 2 * kMaxVarint> buffer;
  const std::uint8_t* end = put_varint(put_varint(buffer.data(), ordinal - last_), frequency);
  tail_.append(buffer.data(), static_cast<std::uint32_t>(end - buffer.data()));
  tail_.append(positions.data(), static_cast<std::uint32_t>(positions.size()));
  finish_posting(ordinal, view);
}

void PostingList::finish_posting(std::uint32_t ordinal, const OrdinalView& view) {
  last_ = ordinal;
  if (++tail_count_ == kBlockSize) seal(view);
}

void PostingList::seal(const OrdinalView& view) {
  const std::size_t part = blocks().size();
  DecodedPostings postings;
  read_ordinals(part, postings);
  std::vector<std::uint8_t> positions;
  positions.reserve(tail_.size());
  const std::uint8_t* in = tail_.data();
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    in = skip_varints(in, 2);
    const std::uint8_t* end = skip_varints(in, postings.frequencies[i]);
    positions.insert(positions.end(), in, end);
    in = end;
  }
  seal_block(postings, positions, view);
  tail_.clear();
  tail_count_ = 0;
}

void PostingList::seal_block(const DecodedPostings& postings, std::span<const std::uint8_t> positions, const OrdinalView& view) {
  if (sealed_ == nullptr) sealed_ = std::make_unique<Sealed>();
  Sealed& sealed = *sealed_;
  PostingBlock block;
  std::array<std::uint32_t, kBlockSize> steps, frequencies;
  std::uint32_t before = sealed.blocks.empty() ? kNoOrdinal : sealed.blocks.back().last;
  for (std::size_t i = 0; i < kBlockSize; ++i) {
    const std::uint32_t ordinal = postings.ordinals[i];
    steps[i] = ordinal - before - 1;
    frequencies[i] = postings.frequencies[i] - 1;
    block.best.add(postings.frequencies[i], view.length(ordinal));
    before = ordinal;
  }
  block.last = before;
  block.data = static_cast<std::uint32_t>(sealed.data.size());
  block.positions = static_cast<std::uint32_t>(sealed.positions.size());
  block.ordinal_bits = static_cast<std::uint8_t>(bits_needed(steps.data()));
  block.frequency_bits = static_cast<std::uint8_t>(bits_needed(frequencies.data()));
  const std::size_t size = packed_size(block.ordinal_bits) + packed_size(block.frequency_bits);
  make_room(sealed.data, size);
  sealed.data.resize(sealed.data.size() + size);
  pack(steps.data(), block.ordinal_bits, sealed.data.data() + block.data);
  pack(frequencies.data(), block.frequency_bits, sealed.data.data() + block.data + packed_size(block.ordinal_bits));
  make_room(sealed.positions, positions.size());
  sealed.positions.insert(sealed.positions.end(), positions.begin(), positions.end());
  sealed.best.add(block.best);
  make_room(sealed.blocks, 1);
  sealed.blocks.push_back(block);
}

void PostingList::shrink() {
  if (sealed_ == nullptr) return;
  sealed_->blocks.shrink_to_fit();
  sealed_->data.shrink_to_fit();
  sealed_->positions.shrink_to_fit();
}

std::size_t PostingList::memory_bytes() const {
  std::size_t bytes = tail_.heap_size();
  if (sealed_ != nullptr) bytes += sizeof(Sealed) + sealed_->blocks.capacity() * sizeof(PostingBlock) + sealed_->data.capacity() + sealed_->positions.capacity();
  return bytes;
}

void PostingList::read_ordinals(std::size_t part, DecodedPostings& out) const {
  const auto sealed = blocks();
  const std::uint32_t before = part == 0 ? kNoOrdinal : sealed[part - 1].last;
  if (part < sealed.size()) {
    unpack_ascending(sealed_->data.data() + sealed[part].data, sealed[part].ordinal_bits, before, out.ordinals.data());
    out.count = kBlockSize;
    return;
  }
  const std::uint8_t* in = tail_.data();
  std::uint32_t ordinal = before;
  for (std::uint32_t i = 0; i < tail_count_; ++i) {
    out.ordinals[i] = ordinal += get_varint(in);
    out.frequencies[i] = get_varint(in);
    in = skip_varints(in, out.frequencies[i]);
  }
  out.count = tail_count_;
}

void PostingList::read_frequencies(std::size_t part, DecodedPostings& out) const {
  if (is_tail(part)) return;
  const PostingBlock& block = sealed_->blocks[part];
  unpack(sealed_->data.data() + block.data + packed_size(block.ordinal_bits), block.frequency_bits, out.frequencies.data());
  for (auto& frequency : out.frequencies) ++frequency;
}

const std::uint8_t* PostingList::positions(std::size_t part) const { return is_tail(part) ? tail_.data() : sealed_->positions.data() + sealed_->blocks[part].positions; }

}  // namespace stoa::data
