// Numbers in seven bits a byte, lowest first; the last byte has its high bit clear. Internal to this folder.
#pragma once

#include <cstdint>

namespace stoa::data {

constexpr int kMaxVarint = 5;  // bytes of 32 bits

inline std::uint8_t* put_varint(std::uint8_t* out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<std::uint8_t>(value | 0x80);
  *out++ = static_cast<std::uint8_t>(value);
  return out;
}

// What put_varint wrote: no bounds are looked at.
inline std::uint32_t get_varint(const std::uint8_t*& in) {
  std::uint32_t value = *in++;
  if (value < 0x80) return value;
  value &= 0x7F;
  for (int shift = 7;; shift += 7) {
    const std::uint32_t byte = *in++;
    value |= (byte & 0x7F) << shift;
    if (byte < 0x80) return value;
  }
}

inline const std::uint8_t* skip_varints(const std::uint8_t* in, std::uint32_t count) {
  for (; count > 0; ++in) count -= *in < 0x80;
  return in;
}

}  // namespace stoa::data
