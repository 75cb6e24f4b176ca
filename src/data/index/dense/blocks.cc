#include "data/index/dense/blocks.h"

#include <algorithm>
#include <cstring>
#include <new>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace stoa::data {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kMaxSlab = 64;  // blocks

std::align_val_t alignment(std::size_t bytes) { return std::align_val_t{bytes >= kHugePage / 2 ? kHugePage : 64}; }

}  // namespace

BlockTable::~BlockTable() {
  for (std::byte* slab : slabs_) ::operator delete(slab, alignment(block_bytes_));
}

std::byte* BlockTable::find(std::uint32_t element) const {
  // The size is read before the table, which is never smaller than a size that was seen.
  return (element >> shift_) < size_.load(std::memory_order_acquire) ? block(element) : nullptr;
}

void BlockTable::ensure(std::uint32_t element, bool filled) {
  if (find(element) != nullptr) return;
  const std::lock_guard lock(mutex_);
  const std::size_t at = element >> shift_;
  if (at >= size_) grow(std::max(at + 1, size_ * 2));
  if (Entry& entry = tables_.back()[at]; entry.load(std::memory_order_relaxed) == nullptr) entry.store(make_block(filled), std::memory_order_release);
}

std::byte* BlockTable::make_block(bool filled) {
  std::byte* const block = take_room();
  if (filled) std::memset(block, 0xFF, block_bytes_);
  bytes_.fetch_add(block_bytes_, std::memory_order_relaxed);
  return block;
}

std::byte* BlockTable::take_room() {
  if (room_ == 0) {
    const bool large = block_bytes_ >= kHugePage / 2;
    const std::size_t blocks = large ? std::clamp<std::size_t>(blocks_ / 4, 1, kMaxSlab) : 1;
    slabs_.reserve(slabs_.size() + 1);  // nothing has changed where memory is refused
    slabs_.push_back(static_cast<std::byte*>(::operator new(blocks * block_bytes_, alignment(block_bytes_))));
#if defined(__linux__)
    // Refused where the system has none to give; then the pages are small.
    if (large) madvise(slabs_.back(), blocks * block_bytes_, MADV_HUGEPAGE);
#endif
    slab_ = room_ = blocks;
  }
  ++blocks_;
  return slabs_.back() + (slab_ - room_--) * block_bytes_;
}

void BlockTable::grow(std::size_t entries) {
  auto table = std::make_unique<Entry[]>(entries);
  for (std::size_t i = 0; i < size_; ++i) table[i].store(tables_.back()[i].load(std::memory_order_relaxed), std::memory_order_relaxed);
  table_.store(table.get(), std::memory_order_release);
  size_.store(entries, std::memory_order_release);
  tables_.push_back(std::move(table));
  bytes_.fetch_add(entries * sizeof(Entry), std::memory_order_relaxed);
}

}  // namespace stoa::data
