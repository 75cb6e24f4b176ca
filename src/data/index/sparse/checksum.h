// The checksum of snapshots. Against accidents: four sums of eight bytes each, multiplied and turned, as xxHash's are. Not against people; who owns a
// snapshot seals it. Internal to this folder.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace stoa::data {

inline std::uint64_t snapshot_checksum(std::string_view bytes) {
  constexpr std::uint64_t kOne = 0x9E3779B185EBCA87, kTwo = 0xC2B2AE3D27D4EB4F;
  std::array<std::uint64_t, 4> sums = {kOne, kTwo, kOne ^ kTwo, bytes.size()};
  const auto add = [](std::uint64_t sum, std::uint64_t word) { return std::rotl(sum + word * kTwo, 31) * kOne; };
  auto [a, b, c, d] = sums;  // in registers: through memory each step would wait for the one before
  for (; bytes.size() >= sizeof sums; bytes.remove_prefix(sizeof sums)) {
    std::array<std::uint64_t, 4> words;
    std::memcpy(&words, bytes.data(), sizeof words);
    a = add(a, words[0]);
    b = add(b, words[1]);
    c = add(c, words[2]);
    d = add(d, words[3]);
  }
  sums = {a, b, c, d};
  for (std::size_t lane = 0; !bytes.empty(); ++lane) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min<std::size_t>(bytes.size(), sizeof word));
    bytes.remove_prefix(std::min<std::size_t>(bytes.size(), sizeof word));
    sums[lane] = add(sums[lane], word);
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : sums) sum = (std::rotl(sum, 27) ^ lane) * kOne + kTwo;
  return sum ^ (sum >> 32);
}

}  // namespace stoa::data
