// Records of several stores that are acknowledged together, as one record of the journal: all of them or none, with one write. What a
// SqlTransaction is to the store, a JournalGroup is to the journal before it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::infra {

// One thread at a time. Handed to WriteBehind::append once, when it is complete; until then nothing of it is kept.
class JournalGroup {
 public:
  void add(std::uint8_t kind, std::string_view record);
  bool empty() const { return bytes_.empty(); }
  const std::string& bytes() const { return bytes_; }

  // Calls `visit` with each record that a group of these bytes has. kDataLoss when they are no group.
  static Status read(ByteSpan bytes, const std::function<Status(std::uint8_t kind, ByteSpan record)>& visit);

 private:
  std::string bytes_;  // for each record: kind, length in 4 bytes (little-endian), the record
};

}  // namespace stoa::infra
