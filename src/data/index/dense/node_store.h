// Nodes: the vectors of an index as codes, their links, and which slot has which node. Internal to this folder.
//
// An update of a slot is a new node, so what a search reads never changes while it is in reach, but for links and the state of a node, which are atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <span>
#include <vector>

#include "data/index/dense/blocks.h"
#include "data/index/dense/vector_coder.h"

namespace stoa::data {

constexpr std::uint32_t kNoNode = 0xFFFF'FFFF;

// What a record has instead of a slot. Nodes in a graph may be walked through in every state but kFreeNode.
constexpr std::uint32_t kFreeNode = 0xFFFF'FFFF;     // holds nothing
constexpr std::uint32_t kRemovedNode = 0xFFFF'FFFE;  // of a vector that was removed or replaced
constexpr std::uint32_t kPendingNode = 0xFFFF'FFFD;  // of a put that has not ended
constexpr bool is_slot(std::uint32_t state) { return state <= DenseIndex::kMaxSlot; }

// Thread-safe; of publish() and withdraw() beside others as far as said.
class NodeStore {
 public:
  static constexpr std::size_t kLinks = 16, kBaseLinks = 2 * kLinks;  // of a node, in the upper layers and in the lowest
  static constexpr int kMaxLevel = 15;
  static constexpr std::uint32_t kLooksFrom = 1 << 16;
  using Link = std::atomic<std::uint32_t>;

  // Without links blocks are small, and a store of few vectors takes little memory.
  NodeStore(const VectorCoder& coder, bool linked);

  // A node to write: one that was given back, or a new one. Its links are kNoNode, its state is kFreeNode.
  std::uint32_t take();
  void give_back(std::span<const std::uint32_t> nodes);  // of no reach for anybody; their upper links go with them
  // What the coder wrote of a node of another store with the same coder.
  void copy(std::uint32_t node, const NodeStore& from, std::uint32_t other);
  // Numbers of nodes are below this.
  std::uint32_t end() const { return end_.load(std::memory_order_acquire); }

  std::byte* record(std::uint32_t node) const { return nodes_.block(node) + nodes_.within(node) * record_bytes_; }
  std::byte* residual(std::uint32_t node) const { return nodes_.block(node) + residuals_at_ + nodes_.within(node) * residual_bytes_; }
  std::byte* look(std::uint32_t node) const { return nodes_.block(node) + looks_at_ + nodes_.within(node) * look_bytes_; }
  std::uint32_t state(std::uint32_t node) const { return head(node).slot.load(std::memory_order_acquire); }
  void set_state(std::uint32_t node, std::uint32_t state) { head(node).slot.store(state, std::memory_order_release); }
  std::size_t record_bytes() const { return record_bytes_; }
  std::size_t residual_bytes() const { return residual_bytes_; }
  std::size_t look_bytes() const { return look_bytes_; }  // none, or whole lines of memory
  // Whether first looks make walks faster. Records of fewer nodes mostly lie in the caches, where a look costs what it saves.
  bool looks_pay() const { return look_bytes_ > 0 && end() >= kLooksFrom; }

  // Of a store with links. They are filled from the front; the first kNoNode ends them.
  std::span<Link> base_links(std::uint32_t node) const {
    return {reinterpret_cast<Link*>(nodes_.block(node) + links_at_) + nodes_.within(node) * kBaseLinks, kBaseLinks};
  }
  // Empty above the node's level.
  std::span<Link> links(std::uint32_t node, int level) const;
  int level(std::uint32_t node) const;
  // Room for links above the lowest layer; once, before the node is in reach.
  void raise(std::uint32_t node, int level);

  // The node of a slot, or kNoNode.
  std::uint32_t node_of(std::uint32_t slot) const;
  // Writers of a slot hold it while they publish or withdraw. Takes memory for the slot.
  std::unique_lock<std::mutex> hold(std::uint32_t slot);
  // The slot's node is this one from now on. Returns the one before, whose state is kRemovedNode now, or kNoNode.
  std::uint32_t publish(std::uint32_t slot, std::uint32_t node);
  std::uint32_t withdraw(std::uint32_t slot);
  std::size_t live() const { return live_.load(std::memory_order_relaxed); }

  std::size_t memory_bytes() const;

  // For snapshots. The nodes of a block, as they lie there; `first` is the first of it.
  struct Piece {
    std::span<std::byte> records, looks, links, residuals;
  };
  std::uint32_t piece_nodes() const { return 1u << nodes_.shift(); }
  Piece piece(std::uint32_t first, std::uint32_t count) const;
  // A new block to be filled, with all parts of `count` nodes. Different pieces may be restored at the same time.
  Piece restore_piece(std::uint32_t first, std::uint32_t count);
  bool restore_slot(std::uint32_t slot, std::uint32_t node);  // false: the slot has a node
  void restore_end(std::uint32_t end, std::size_t live, std::vector<std::uint32_t> free);

 private:
  struct Upper {
    Link above;  // number of the next layer's, or kNoNode
    Link links[kLinks];
  };
  RecordHead& head(std::uint32_t node) const { return *reinterpret_cast<RecordHead*>(record(node)); }
  Link& upper_of(std::uint32_t node) const { return reinterpret_cast<Link*>(nodes_.block(node) + uppers_at_)[nodes_.within(node)]; }
  Upper& upper(std::uint32_t number) const { return reinterpret_cast<Upper*>(uppers_.block(number))[uppers_.within(number)]; }
  Link& slot_entry(std::uint32_t slot) const { return reinterpret_cast<Link*>(slots_.block(slot))[slots_.within(slot)]; }

  const bool linked_;
  const std::size_t record_bytes_, look_bytes_, residual_bytes_;
  const std::size_t looks_at_, links_at_, uppers_at_, residuals_at_;  // in a block; what walks read is in front
  BlockTable nodes_, uppers_, slots_;
  std::atomic<std::uint32_t> end_ = 0;
  std::atomic<std::size_t> live_ = 0;
  std::mutex mutex_;  // of what follows
  std::vector<std::uint32_t> free_, free_uppers_;
  std::uint32_t uppers_end_ = 0;
  std::mutex slot_mutexes_[16];
};

}  // namespace stoa::data
