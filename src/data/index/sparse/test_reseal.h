// Snapshots that were changed and yet have right checksums, for tests of what else is checked.
#pragma once

#include <cstring>
#include <string>

#include "data/index/sparse/checksum.h"

namespace stoa::data {

// Writes the checksums of all frames anew, as far as their sizes fit.
inline std::string resealed(std::string snapshot) {
  constexpr std::size_t kHead = 9, kNumber = sizeof(std::uint64_t);
  for (std::size_t at = kHead; at + 2 * kNumber <= snapshot.size();) {
    std::uint64_t size;
    std::memcpy(&size, snapshot.data() + at, kNumber);
    at += kNumber;
    if (size > snapshot.size() - at - kNumber) break;
    const std::uint64_t sum = snapshot_checksum(std::string_view(snapshot).substr(at, size));
    std::memcpy(snapshot.data() + at + size, &sum, kNumber);
    at += size + kNumber;
  }
  return snapshot;
}

}  // namespace stoa::data
