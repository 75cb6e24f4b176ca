// A growing row of bytes that keeps up to eight of them in itself: most words of a collection stand in one or two passages. Internal to this folder.
#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

namespace stoa::data {

class SmallBytes {
 public:
  SmallBytes() = default;
  ~SmallBytes() { release(); }
  SmallBytes(SmallBytes&& other) noexcept { swap(other); }
  SmallBytes& operator=(SmallBytes&& other) noexcept {
    swap(other);
    return *this;
  }

  const std::uint8_t* data() const { return capacity_ == 0 ? own_ : heap_; }
  std::uint32_t size() const { return size_; }
  std::uint32_t heap_size() const { return capacity_; }
  void append(const std::uint8_t* bytes, std::uint32_t count) {
    if (size_ + count > (capacity_ == 0 ? kOwn : capacity_)) grow(size_ + count);
    std::memcpy((capacity_ == 0 ? own_ : heap_) + size_, bytes, count);
    size_ += count;
  }
  void clear() {
    release();
    size_ = capacity_ = 0;
  }

 private:
  static constexpr std::uint32_t kOwn = 8;
  void grow(std::uint32_t needed) {
    const std::uint32_t capacity = (needed + needed / 4 + 15) / 16 * 16;
    auto* bytes = new std::uint8_t[capacity];
    std::memcpy(bytes, data(), size_);
    release();
    heap_ = bytes;
    capacity_ = capacity;
  }
  void release() {
    if (capacity_ != 0) delete[] heap_;
  }
  void swap(SmallBytes& other) {
    std::swap(heap_, other.heap_);  // the whole union: both members are eight bytes
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
  }

  union {
    std::uint8_t* heap_ = nullptr;
    std::uint8_t own_[kOwn];
  };
  std::uint32_t size_ = 0;
  std::uint32_t capacity_ = 0;  // of the heap, 0: the bytes are in own_
};

}  // namespace stoa::data
