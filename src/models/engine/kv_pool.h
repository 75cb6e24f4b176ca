// The memory of all keys and values: a fixed number of pages, handed out by number. Page layout: models/compute/kv_cache.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "models/compute/kv_cache.h"

namespace stoa::models {

using PageId = std::int32_t;

// Owned by one thread, the engine's. The memory is reserved at once and taken from the system page by page as it is first written;
// when the last page is given back, all of it returns to the system. A page has a count of holders, so that sequences with a
// common beginning can share pages.
class KvPool {
 public:
  // As many pages as fit into `bytes`. kInvalidArgument when not even one does, kUnavailable when the system refuses the memory.
  static Result<KvPool> create(const KvLayout& layout, std::size_t bytes);
  KvPool(KvPool&& other) noexcept;
  KvPool& operator=(KvPool&&) = delete;
  ~KvPool();

  const KvLayout& layout() const { return layout_; }
  int pages() const { return static_cast<int>(holders_.size()); }
  int free_pages() const { return static_cast<int>(free_.size()); }
  int used_pages() const { return pages() - free_pages(); }

  // Appends `count` pages with one holder each to `out`; false (and nothing appended) when there are not that many.
  bool allocate(int count, std::vector<PageId>& out);
  void retain(PageId page) { ++holders_[static_cast<std::size_t>(page)]; }
  void release(PageId page);
  std::byte* data(PageId page) const { return memory_ + static_cast<std::size_t>(page) * stride_; }

 private:
  KvPool(const KvLayout& layout, std::byte* memory, std::size_t stride, int pages);

  KvLayout layout_;
  std::byte* memory_ = nullptr;
  std::size_t stride_ = 0;  // bytes from page to page, a multiple of 64
  std::vector<int> holders_;
  std::vector<PageId> free_;  // the last one is handed out next: recently used memory is warm
};

}  // namespace stoa::models
