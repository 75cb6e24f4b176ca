// Values one behind the other, for the records of a journal: integers in 8 bytes (little-endian), texts and lists with their length in 4 before them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

class Packer {
 public:
  Packer& add(std::int64_t value);
  Packer& add(std::string_view text);
  const std::string& text() const { return text_; }
  ByteSpan bytes() const { return as_bytes(text_); }

 private:
  std::string text_;
};

// Reads what a Packer made, in the same order. After the first value that is not there all are zero or empty, and finish() says so.
class Unpacker {
 public:
  explicit Unpacker(ByteSpan bytes) : rest_(bytes) {}
  Unpacker& take(std::int64_t& value);
  Unpacker& take(std::string& text);
  bool more() const { return !rest_.empty(); }
  bool good() const { return good_; }
  Status finish(std::string_view what) const;  // kDataLoss when something was missing, or is left

 private:
  ByteSpan cut(std::size_t size);
  ByteSpan rest_;
  bool good_ = true;
};

}  // namespace stoa::infra
