#include "data/index/segment.h"

#include <algorithm>
#include <cstring>

namespace stoa::data {

Index::Segment::Slot Index::Segment::add(StoredChunk chunk, std::shared_ptr<const DocumentInfo> document) {
  Slot slot;
  if (free_.empty()) {
    slot = static_cast<Slot>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  Entry& entry = slots_[slot];
  entry.key = chunk.key;
  entry.length = chunk.length;
  entry.document = std::move(document);
  entry.terms.reserve(chunk.terms.size());
  for (auto& [term, frequency] : chunk.terms) {
    const auto [found, is_new] = numbers_.try_emplace(std::move(term), static_cast<std::uint32_t>(postings_.size()));
    if (is_new) {
      names_.push_back(&found->first);
      postings_.emplace_back();
    }
    auto& list = postings_[found->second];
    list.insert(std::ranges::lower_bound(list, slot, {}, &Posting::slot), Posting{slot, frequency});
    entry.terms.emplace_back(found->second, frequency);
  }
  if (!chunk.vector.empty()) {
    if (dimensions_ == 0) dimensions_ = static_cast<int>(chunk.vector.size());
    entry.has_vector = true;
  }
  if (dimensions_ > 0) {
    const auto width = static_cast<std::size_t>(dimensions_);
    if (vectors_.size() < slots_.size() * width) vectors_.resize(slots_.size() * width);
    std::ranges::copy(chunk.vector, vectors_.begin() + static_cast<std::ptrdiff_t>(slot * width));
  }
  ++live_;
  total_length_ += entry.length;
  return slot;
}

StoredChunk Index::Segment::take(Slot slot) {
  Entry& entry = slots_[slot];
  StoredChunk chunk{entry.key, entry.length, {}, {}};
  for (const auto& [term, frequency] : entry.terms) {
    chunk.terms.emplace_back(*names_[term], frequency);
    auto& list = postings_[term];
    list.erase(std::ranges::lower_bound(list, slot, {}, &Posting::slot));
    if (list.empty()) list.shrink_to_fit();
  }
  if (const float* values = vector(slot)) chunk.vector.assign(values, values + dimensions_);
  --live_;
  total_length_ -= entry.length;
  entry = Entry{};
  free_.push_back(slot);
  return chunk;
}

std::span<const Index::Segment::Posting> Index::Segment::postings(std::string_view term) const {
  const auto found = numbers_.find(term);
  return found == numbers_.end() ? std::span<const Posting>() : std::span<const Posting>(postings_[found->second]);
}

// Sixteen running sums let the compiler use whatever vector unit there is, and fix the order of summation: the same two vectors
// give the same bits wherever they are stored.
float dot(const float* a, const float* b, std::size_t n) {
  using Lanes = float __attribute__((vector_size(64)));
  Lanes sum{};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    Lanes x, y;
    std::memcpy(&x, a + i, sizeof x);
    std::memcpy(&y, b + i, sizeof y);
    sum += x * y;
  }
  float total = 0;
  for (int lane = 0; lane < 16; ++lane) total += sum[lane];
  for (; i < n; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace stoa::data
