// A whole file as read-only memory, backed by the page cache unless it is a copy.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <utility>

#include "base/result.h"

namespace stoa::infra {

// Movable; the bytes stay at their address until destruction. Immutable, so any thread may read. A file that another process
// truncates while it is mapped faults on access (a copy does not): model files are replaced by rename, never written in place.
class MappedFile {
 public:
  // Errors: kNotFound, kPermissionDenied, kInvalidArgument (not a regular file), kUnavailable (the system refused).
  static Result<MappedFile> open(const std::filesystem::path& path);
  // The same with the bytes copied into memory of its own: for files that people put there by hand, who may be writing them still. kUnavailable also
  // when the file gets shorter meanwhile.
  static Result<MappedFile> copy(const std::filesystem::path& path);

  MappedFile() = default;  // empty
  MappedFile(MappedFile&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  MappedFile& operator=(MappedFile&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

// Reads a part of a MappedFile from the disk where it is not in memory, right before it is used. Whoever touches bytes that the disk does not give is ended by a signal; this says kUnavailable
// instead. (What leaves memory again in between is not told, and Linux before 5.14 cannot tell at all.)
Status read_pages(std::span<const std::byte> mapped);

// Tells the system that all bytes of a MappedFile are not needed for now: they leave this process's memory, and are there again when they
// are read.
void drop_pages(std::span<const std::byte> mapped);

}  // namespace stoa::infra
