#include "data/index/dense/node_store.h"

#include <cstring>

namespace stoa::data {

namespace {

constexpr unsigned kSmallShift = 3, kLinkedShift = 12, kUpperShift = 6, kSlotShift = 8;

std::size_t line(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

NodeStore::NodeStore(const VectorCoder& coder, bool linked)
    : linked_(linked), record_bytes_(coder.record_bytes()), look_bytes_(coder.look_bytes()), residual_bytes_(coder.residual_bytes()),
      looks_at_(line(record_bytes_ << (linked ? kLinkedShift : kSmallShift))), links_at_(looks_at_ + (look_bytes_ << (linked ? kLinkedShift : kSmallShift))),
      uppers_at_(links_at_ + (linked ? (sizeof(Link) * kBaseLinks) << kLinkedShift : 0)), residuals_at_(uppers_at_ + (linked ? sizeof(Link) << kLinkedShift : 0)),
      nodes_(linked ? kLinkedShift : kSmallShift, residuals_at_ + (residual_bytes_ << (linked ? kLinkedShift : kSmallShift))), uppers_(kUpperShift, sizeof(Upper) << kUpperShift),
      slots_(kSlotShift, sizeof(Link) << kSlotShift) {}

std::uint32_t NodeStore::take() {
  const std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    const std::uint32_t node = free_.back();
    free_.pop_back();
    return node;
  }
  const std::uint32_t node = end_.load(std::memory_order_relaxed);
  nodes_.ensure(node);
  end_.store(node + 1, std::memory_order_release);
  return node;
}

void NodeStore::give_back(std::span<const std::uint32_t> nodes) {
  const std::lock_guard lock(mutex_);
  for (const std::uint32_t node : nodes) {
    if (linked_) {
      for (Link& link : base_links(node)) link.store(kNoNode, std::memory_order_relaxed);
      for (std::uint32_t at = upper_of(node).load(std::memory_order_relaxed); at != kNoNode; at = upper(at).above.load(std::memory_order_relaxed)) {
        for (Link& link : upper(at).links) link.store(kNoNode, std::memory_order_relaxed);
        free_uppers_.push_back(at);
      }
      upper_of(node).store(kNoNode, std::memory_order_relaxed);
    }
    set_state(node, kFreeNode);
    free_.push_back(node);
  }
}

void NodeStore::copy(std::uint32_t node, const NodeStore& from, std::uint32_t other) {
  // The slot in the middle is another's, and may change meanwhile.
  constexpr std::size_t kSlot = offsetof(RecordHead, slot), kCode = sizeof(RecordHead);
  std::memcpy(record(node), from.record(other), kSlot);
  std::memcpy(record(node) + kCode, from.record(other) + kCode, record_bytes_ - kCode);
  std::memcpy(residual(node), from.residual(other), residual_bytes_);
  std::memcpy(look(node), from.look(other), look_bytes_);
}

std::span<NodeStore::Link> NodeStore::links(std::uint32_t node, int level) const {
  if (level == 0) return base_links(node);
  std::uint32_t at = upper_of(node).load(std::memory_order_acquire);
  for (; at != kNoNode && level > 1; --level) at = upper(at).above.load(std::memory_order_acquire);
  return at == kNoNode ? std::span<Link>() : std::span(upper(at).links);
}

int NodeStore::level(std::uint32_t node) const {
  int level = 0;
  for (std::uint32_t at = upper_of(node).load(std::memory_order_acquire); at != kNoNode; at = upper(at).above.load(std::memory_order_acquire)) ++level;
  return level;
}

void NodeStore::raise(std::uint32_t node, int level) {
  const std::lock_guard lock(mutex_);
  for (std::uint32_t above = kNoNode; level > 0; --level) {
    std::uint32_t at = uppers_end_;
    if (free_uppers_.empty()) {
      uppers_.ensure(uppers_end_++);
    } else {
      at = free_uppers_.back();
      free_uppers_.pop_back();
    }
    upper(at).above.store(above, std::memory_order_release);
    upper_of(node).store(at, std::memory_order_release);
    above = at;
  }
}

std::uint32_t NodeStore::node_of(std::uint32_t slot) const {
  const std::byte* block = slots_.find(slot);
  return block == nullptr ? kNoNode : slot_entry(slot).load(std::memory_order_acquire);
}

std::unique_lock<std::mutex> NodeStore::hold(std::uint32_t slot) {
  slots_.ensure(slot);
  return std::unique_lock(slot_mutexes_[slot % std::size(slot_mutexes_)]);
}

std::uint32_t NodeStore::publish(std::uint32_t slot, std::uint32_t node) {
  const std::uint32_t before = slot_entry(slot).load(std::memory_order_relaxed);
  set_state(node, slot);
  slot_entry(slot).store(node, std::memory_order_release);
  if (before == kNoNode) {
    live_.fetch_add(1, std::memory_order_relaxed);
  } else {
    set_state(before, kRemovedNode);
  }
  return before;
}

std::uint32_t NodeStore::withdraw(std::uint32_t slot) {
  const std::uint32_t node = slot_entry(slot).exchange(kNoNode, std::memory_order_relaxed);
  if (node == kNoNode) return node;
  set_state(node, kRemovedNode);
  live_.fetch_sub(1, std::memory_order_relaxed);
  return node;
}

NodeStore::Piece NodeStore::piece(std::uint32_t first, std::uint32_t count) const {
  std::byte* const block = nodes_.block(first);
  return {{block, count * record_bytes_},
          {block + looks_at_, count * look_bytes_},
          {block + links_at_, linked_ ? count * sizeof(Link) * kBaseLinks : 0},
          {block + residuals_at_, count * residual_bytes_}};
}

NodeStore::Piece NodeStore::restore_piece(std::uint32_t first, std::uint32_t count) {
  const bool whole = count == piece_nodes();
  nodes_.ensure(first, !whole);
  if (linked_ && whole) std::memset(nodes_.block(first) + uppers_at_, 0xFF, sizeof(Link) << nodes_.shift());
  return piece(first, count);
}

bool NodeStore::restore_slot(std::uint32_t slot, std::uint32_t node) {
  slots_.ensure(slot);
  return slot_entry(slot).exchange(node, std::memory_order_relaxed) == kNoNode;
}

void NodeStore::restore_end(std::uint32_t end, std::size_t live, std::vector<std::uint32_t> free) {
  const std::lock_guard lock(mutex_);
  free_ = std::move(free);
  live_ = live;
  end_ = end;
}

std::size_t NodeStore::memory_bytes() const { return sizeof *this + nodes_.bytes() + uppers_.bytes() + slots_.bytes(); }

}  // namespace stoa::data
