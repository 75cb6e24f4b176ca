// The memory of all keys and values: a fixed number of pages, handed out by number. Page layout: models/compute/kv_cache.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/result.h"
#include "models/compute/kv_cache.h"

namespace stoa::models {

using PageId = std::int32_t;
inline constexpr PageId kNoPage = -1;  // in a sequence's list: given up, because no token to come sees it

// Owned by one thread, the engine's. A page has a count of sequences that hold it, so that sequences with a common beginning share
// pages, and may be kept by the prefix cache (prefix_cache.h) as well. It is
//   used    while a sequence holds it,
//   cached  while only the cache keeps it: its content is worth something, but whoever needs memory may have it,
//   free    otherwise.
// The memory is reserved at once and taken from the system page by page as it is first written; return_memory() gives that of the
// free pages back, so that an idle engine holds what is cached and nothing else.
class KvPool {
 public:
  // As many pages as fit into `bytes`. kInvalidArgument when not even one does, kUnavailable when the system refuses the memory.
  static Result<KvPool> create(const KvLayout& layout, std::size_t bytes);
  KvPool(KvPool&& other) noexcept;
  KvPool& operator=(KvPool&&) = delete;
  ~KvPool();

  const KvLayout& layout() const { return layout_; }
  int pages() const { return static_cast<int>(state_.size()); }
  int free_pages() const { return static_cast<int>(free_.size()); }
  int cached_pages() const { return cached_; }
  int used_pages() const { return pages() - free_pages() - cached_; }
  bool used(PageId page) const { return state(page).holders > 0; }

  // Appends `count` free pages with one holder each to `out`; false (and nothing appended) when there are not that many.
  bool allocate(int count, std::vector<PageId>& out);
  void retain(PageId page);
  void release(PageId page);
  // The cache begins (the page is used) and ceases to keep a page.
  void keep(PageId page) { state(page).kept = true; }
  void drop(PageId page);

  // Gives the memory of free pages back to the system. A failure of that costs memory only.
  void return_memory();
  std::byte* data(PageId page) const { return memory_ + static_cast<std::size_t>(page) * stride_; }

 private:
  struct State {
    int holders = 0;
    bool kept = false;     // by the cache
    bool touched = false;  // handed out since its memory was last given back
  };
  KvPool(const KvLayout& layout, std::byte* memory, std::size_t stride, int pages);
  State& state(PageId page) { return state_[static_cast<std::size_t>(page)]; }
  const State& state(PageId page) const { return state_[static_cast<std::size_t>(page)]; }

  KvLayout layout_;
  std::byte* memory_ = nullptr;
  std::size_t stride_ = 0;  // bytes from page to page, a multiple of 64
  std::vector<State> state_;
  std::vector<PageId> free_;  // the last one is handed out next: recently used memory is warm
  int cached_ = 0;
};

}  // namespace stoa::models
