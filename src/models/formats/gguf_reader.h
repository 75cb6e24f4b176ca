// The walk over the bytes of a GGUF file; used by gguf.cc only.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// Bytes of one element; 0 for strings and arrays.
std::size_t gguf_type_bytes(GgufType type);

// Fills a GgufFile from bytes. Every read says what it reads, so that an error can.
class GgufReader {
 public:
  GgufReader(GgufFile& file, std::span<const std::byte> bytes) : file_(file), bytes_(bytes) {}
  Status read();

 private:
  static constexpr std::size_t kMaxKeyBytes = 65535;    // the format's own limit
  static constexpr std::size_t kMaxNameBytes = 1024;
  static constexpr std::uint32_t kMaxDimensions = 4;    // ggml's own limit
  static constexpr std::uint64_t kMaxAlignment = 1 << 16;
  static constexpr int kMaxArrayDepth = 4;

  std::size_t left() const { return bytes_.size() - at_; }
  template <class T>
  Result<T> number(std::string_view what) {
    if (left() < sizeof(T)) return truncated(what, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }
  std::unexpected<Error> truncated(std::string_view what, std::uint64_t need) const;
  Result<std::string_view> string(std::string_view what, std::size_t max_bytes);
  Result<GgufType> type(std::string_view key);
  Status header();
  Status entries();
  Status entry(std::uint64_t index);
  Result<GgufArray> array(std::string_view key, int depth);
  Status alignment();
  Status tensors();
  Status tensor(std::uint64_t index);
  Status place_tensors();

  GgufFile& file_;
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::uint64_t entry_count_ = 0;
  std::vector<std::uint64_t> offsets_;  // of each tensor, from the start of the data section
  std::vector<std::size_t> sizes_;
};

}  // namespace stoa::models
