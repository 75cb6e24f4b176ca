#include "models/engine/kv_pool.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <sys/mman.h>

namespace stoa::models {

Result<KvPool> KvPool::create(const KvLayout& layout, std::size_t bytes) {
  const std::size_t stride = (layout.page_bytes() + 63) / 64 * 64;
  const std::size_t pages = std::min<std::size_t>(bytes / stride, std::numeric_limits<PageId>::max());
  if (pages == 0) {
    return fail(error(ErrorCode::kInvalidArgument, "the KV cache has {} bytes, but one page of {} tokens needs {}", bytes, kPageTokens, stride)
                    .with_hint("Give the engine more KV memory."));
  }
  void* memory = mmap(nullptr, pages * stride, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return fail(error(ErrorCode::kUnavailable, "cannot reserve {} bytes for the KV cache: {}", pages * stride, std::strerror(errno))
                    .with_hint("Give the engine less KV memory."));
  }
  return KvPool(layout, static_cast<std::byte*>(memory), stride, static_cast<int>(pages));
}

KvPool::KvPool(const KvLayout& layout, std::byte* memory, std::size_t stride, int pages)
    : layout_(layout), memory_(memory), stride_(stride), holders_(static_cast<std::size_t>(pages), 0) {
  free_.reserve(holders_.size());
  for (PageId page = pages - 1; page >= 0; --page) free_.push_back(page);
}

KvPool::KvPool(KvPool&& other) noexcept
    : layout_(other.layout_), memory_(std::exchange(other.memory_, nullptr)), stride_(other.stride_), holders_(std::move(other.holders_)),
      free_(std::move(other.free_)) {}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, holders_.size() * stride_);
}

bool KvPool::allocate(int count, std::vector<PageId>& out) {
  if (count > free_pages()) return false;
  for (int i = 0; i < count; ++i) {
    const PageId page = free_.back();
    free_.pop_back();
    holders_[static_cast<std::size_t>(page)] = 1;
    out.push_back(page);
  }
  return true;
}

void KvPool::release(PageId page) {
  if (--holders_[static_cast<std::size_t>(page)] > 0) return;
  free_.push_back(page);
  // An idle engine should not sit on gigabytes; a failure of this advice costs memory only.
  if (used_pages() == 0) madvise(memory_, holders_.size() * stride_, MADV_DONTNEED);
}

}  // namespace stoa::models
