#include "data/index/segment.h"

#include <algorithm>

namespace stoa::data {
namespace {

constexpr std::size_t kMinWidth = 64;  // candidates that a walk keeps: with the default of ten results, recall is about 0.99

}  // namespace

Result<std::vector<Index::Segment::Slot>> Index::Segment::reserve(std::size_t passages, int dimensions) {
  if (used_ + passages > SparseIndex::kMaxSlot) return fail(ErrorCode::kResourceExhausted, "a collection holds at most {} passages with the same readers", SparseIndex::kMaxSlot);
  if (dimensions > 0) {
    if (vectors_ != nullptr && vectors_->dimensions() != dimensions)
      return fail(ErrorCode::kInvalidArgument, "vectors of {} numbers, those of the collection have {}", dimensions, vectors_->dimensions());
    if (vectors_ == nullptr) {
      STOA_TRY(fresh, DenseIndex::create(dimensions));
      vectors_ = std::make_unique<DenseIndex>(std::move(fresh));
    }
  }
  std::vector<Slot> slots;
  slots.reserve(passages);
  while (slots.size() < passages) {
    if (free_.empty()) {
      slots.push_back(static_cast<Slot>(keys_.size()));
      keys_.push_back(0);
    } else {
      slots.push_back(free_.back());
      free_.pop_back();
    }
  }
  used_ += passages;
  return slots;
}

Status Index::Segment::put_vector(Slot slot, std::span<const float> vector) { return vector.empty() ? Status{} : vectors_->put(slot, vector); }

Status Index::Segment::publish(std::span<const Slot> slots, std::span<const ChunkKey> keys, std::span<const AnalysedText> texts) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const Status put = words_.put(slots[i], texts[i]);
    if (put) continue;
    for (const Slot slot : slots.first(i)) words_.remove(slot);
    return put;
  }
  for (std::size_t i = 0; i < slots.size(); ++i) {
    keys_[slots[i]] = keys[i];
    visible_.set(slots[i]);
  }
  visible_count_ += slots.size();
  return {};
}

void Index::Segment::hide(std::span<const Slot> slots) {
  for (const Slot slot : slots) {
    words_.remove(slot);
    visible_.reset(slot);
  }
  visible_count_ -= slots.size();
}

void Index::Segment::drop_vector(Slot slot) { vectors_->remove(slot); }

void Index::Segment::release(std::span<const Slot> slots) {
  free_.insert(free_.end(), slots.begin(), slots.end());
  used_ -= slots.size();
}

Status Index::Segment::nearest(std::span<const float> vector, std::size_t k, const SlotBitmap* allowed, std::vector<Hit>& hits) const {
  if (vectors_ == nullptr || vectors_->dimensions() != static_cast<int>(vector.size())) return {};
  SlotFilter filter;
  // Vectors on their way in or out are there and may not be found.
  const bool all = allowed == nullptr && used_ == visible_count_;
  if (!all) {
    const SlotBitmap& bitmap = allowed != nullptr ? *allowed : visible_;
    filter = {bitmap.words(), allowed != nullptr ? bitmap.count() : visible_count_};
  }
  STOA_TRY(found, vectors_->search(vector, k, std::max(kMinWidth, 2 * k), all ? nullptr : &filter));
  for (const DenseHit& hit : found)
    if (visible_.test(hit.slot)) hits.push_back({keys_[hit.slot], hit.score});
  return {};
}

}  // namespace stoa::data
