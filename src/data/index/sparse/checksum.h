// The checksum of snapshots. Against accidents: four sums of eight bytes each, multiplied and turned, as xxHash's are. Not against people; who owns a
// snapshot seals it. Internal to this folder.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stoa::data {

inline std::uint64_t snapshot_checksum(std::string_view bytes) {
  constexpr std::uint64_t kOne = 0x9E3779B185EBCA87, kTwo = 0xC2B2AE3D27D4EB4F;
  std::uint64_t sums[4] = {kOne, kTwo, kOne ^ kTwo, bytes.size()};
  for (std::size_t lane = 0; !bytes.empty(); lane = (lane + 1) % 4) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min<std::size_t>(bytes.size(), sizeof word));
    bytes.remove_prefix(std::min<std::size_t>(bytes.size(), sizeof word));
    sums[lane] = std::rotl(sums[lane] + word * kTwo, 31) * kOne;
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : sums) sum = (std::rotl(sum, 27) ^ lane) * kOne + kTwo;
  return sum ^ (sum >> 32);
}

}  // namespace stoa::data
