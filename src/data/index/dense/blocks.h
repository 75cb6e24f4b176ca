// Memory for numbered elements that grows without ever moving what is there. Internal to this folder.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace stoa::data {

// 2^shift elements lie together in a block of the given number of bytes, every byte of which is 0xFF at first. Blocks of at least 1 MiB lie in slabs that grow with the table, for which the
// system is asked for huge pages: what is not used of a slab takes no memory. Reading is safe beside ensure(), and whoever learns of an element after ensure() finds its block.
class BlockTable {
 public:
  BlockTable(unsigned shift, std::size_t block_bytes) : shift_(shift), block_bytes_(block_bytes) {}
  ~BlockTable();
  BlockTable(const BlockTable&) = delete;
  BlockTable& operator=(const BlockTable&) = delete;

  // The block of this element; it must exist.
  std::byte* block(std::uint32_t element) const { return table_.load(std::memory_order_acquire)[element >> shift_].load(std::memory_order_acquire); }
  // The same, or null where none exists.
  std::byte* find(std::uint32_t element) const;
  // Makes the block of this element if it does not exist. Who writes all of it anyhow need not have it filled.
  void ensure(std::uint32_t element, bool filled = true);

  std::uint32_t within(std::uint32_t element) const { return element & ((1u << shift_) - 1); }
  unsigned shift() const { return shift_; }
  std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

 private:
  using Entry = std::atomic<std::byte*>;
  std::byte* make_block(bool filled);
  std::byte* take_room();
  void grow(std::size_t entries);

  const unsigned shift_;
  const std::size_t block_bytes_;
  std::atomic<Entry*> table_ = nullptr;
  std::atomic<std::size_t> size_ = 0;     // entries of the table; raised after the table is in place
  std::atomic<std::size_t> bytes_ = 0;
  std::mutex mutex_;                      // of ensure(), and of what follows
  std::vector<std::byte*> slabs_;
  std::size_t blocks_ = 0;                // taken
  std::size_t slab_ = 0, room_ = 0;       // blocks of the last slab, and how many of them are left
  std::vector<std::unique_ptr<Entry[]>> tables_;  // the current one last; a search may still read an older one
};

}  // namespace stoa::data
