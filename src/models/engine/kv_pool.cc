#include "models/engine/kv_pool.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include <sys/mman.h>
#include <unistd.h>

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
    : layout_(layout), memory_(memory), stride_(stride), state_(static_cast<std::size_t>(pages)) {
  free_.reserve(state_.size());
  for (PageId page = pages - 1; page >= 0; --page) free_.push_back(page);
}

KvPool::KvPool(KvPool&& other) noexcept
    : layout_(other.layout_), memory_(std::exchange(other.memory_, nullptr)), stride_(other.stride_), state_(std::move(other.state_)),
      free_(std::move(other.free_)), cached_(other.cached_) {}

KvPool::~KvPool() {
  if (memory_ != nullptr) munmap(memory_, state_.size() * stride_);
}

bool KvPool::allocate(int count, std::vector<PageId>& out) {
  if (count > free_pages()) return false;
  for (int i = 0; i < count; ++i) {
    const PageId page = free_.back();
    free_.pop_back();
    state(page) = {.holders = 1, .kept = false, .touched = true};
    out.push_back(page);
  }
  return true;
}

void KvPool::retain(PageId page) {
  auto& s = state(page);
  if (s.holders++ == 0) --cached_;
}

void KvPool::release(PageId page) {
  auto& s = state(page);
  if (--s.holders > 0) return;
  if (s.kept) {
    ++cached_;
  } else {
    free_.push_back(page);
  }
}

void KvPool::drop(PageId page) {
  auto& s = state(page);
  s.kept = false;
  if (s.holders > 0) return;
  --cached_;
  free_.push_back(page);
}

void KvPool::return_memory() {
  const auto system_page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto give_back = [&](std::size_t first, std::size_t end) {
    // Neighbours may share a system page with the run: only whole ones inside it go.
    const std::size_t from = (first * stride_ + system_page - 1) / system_page * system_page, to = end * stride_ / system_page * system_page;
    if (from < to) madvise(memory_ + from, to - from, MADV_DONTNEED);
  };
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= state_.size(); ++i) {
    const bool in_run = i < state_.size() && state_[i].touched && state_[i].holders == 0 && !state_[i].kept;
    if (in_run) {
      state_[i].touched = false;
      continue;
    }
    if (begin < i) give_back(begin, i);
    begin = i + 1;
  }
}

}  // namespace stoa::models
