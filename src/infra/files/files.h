// Files of the data folder: written whole, synced, and with errors that name the file, the reason and the next step.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// The error of the system call that has just failed on `path` (from errno): kResourceExhausted where the disk is full, else kUnavailable.
Error file_error(const std::filesystem::path& path, std::string_view doing);

// An open file or folder. The functions may be called by several threads where the ranges that they touch differ.
class File {
 public:
  // `flags` as for open(2); a file that this makes is readable by its owner alone. On failure is_open() is false and errno tells why.
  File(std::filesystem::path path, int flags);
  File(File&& other) noexcept;
  File& operator=(File&&) = delete;
  ~File();

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }
  const std::filesystem::path& path() const { return path_; }

  Status write(ByteSpan bytes) const;  // all of them, where the last write ended (at the end with O_APPEND)
  Status write_at(ByteSpan bytes, std::size_t offset) const;
  Result<Bytes> read_at(std::size_t offset, std::size_t length) const;  // fewer where the file ends
  Status truncate(std::size_t length) const;
  Status sync() const;  // what is written and where it stands; times and modes may be older
  Status close();       // some file systems tell only now that a write failed

 private:
  std::filesystem::path path_;
  int descriptor_;
};

// Makes names that were added to, replaced in or removed from a folder last.
Status sync_folder(const std::filesystem::path& folder);

enum class IfExists { kReplace, kKeep };
// A file of mode 0600, whole or not at all, synced with its folder. False: there was one, perhaps made by another process just now, and kKeep keeps it.
Result<bool> write_whole(const std::filesystem::path& path, ByteSpan bytes, IfExists if_exists);

}  // namespace stoa::infra
