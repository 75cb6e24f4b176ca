#include "models/compute/dequantize.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>

namespace stoa::models {

namespace {

using Byte = std::uint8_t;

template <class T>
T load_as(const Byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

float half_at(const Byte* p) { return f16_to_f32(load_as<std::uint16_t>(p)); }

// Value i of a 32-value block of nibbles.
int nibble(const Byte* p, int i) { return i < 16 ? p[i] & 15 : p[i - 16] >> 4; }

void small_block(DType dtype, const Byte* p, float* out) {
  const float d = half_at(p);
  for (int i = 0; i < 32; ++i) {
    switch (dtype) {
      case DType::kQ4_0: out[i] = d * static_cast<float>(nibble(p + 2, i) - 8); break;
      case DType::kQ4_1: out[i] = d * static_cast<float>(nibble(p + 4, i)) + half_at(p + 2); break;
      case DType::kQ5_0: {
        const int fifth = static_cast<int>(load_as<std::uint32_t>(p + 2) >> i & 1u);
        out[i] = d * static_cast<float>(nibble(p + 6, i) + 16 * fifth - 16);
        break;
      }
      case DType::kQ5_1: {
        const int fifth = static_cast<int>(load_as<std::uint32_t>(p + 4) >> i & 1u);
        out[i] = d * static_cast<float>(nibble(p + 8, i) + 16 * fifth) + half_at(p + 2);
        break;
      }
      default: out[i] = d * static_cast<float>(static_cast<std::int8_t>(p[2 + i])); break;  // Q8_0
    }
  }
}

// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K.
std::array<int, 2> scale_and_minimum(const Byte* p, int j) {
  if (j < 4) return {p[j] & 63, p[j + 4] & 63};
  return {(p[j + 4] & 15) | (p[j - 4] >> 6) << 4, p[j + 4] >> 4 | (p[j] >> 6) << 4};
}

void super_block(DType dtype, const Byte* p, float* out) {
  const float d = half_at(p);
  const float dmin = half_at(p + 2);
  const Byte* nibbles = p + (dtype == DType::kQ5_K ? 48 : 16);
  for (int j = 0; j < 8; ++j) {
    const auto [scale, minimum] = scale_and_minimum(p + 4, j);
    for (int i = 0; i < 32; ++i) {
      const Byte pair = nibbles[32 * (j / 2) + i];
      int q = j % 2 == 0 ? pair & 15 : pair >> 4;
      if (dtype == DType::kQ5_K) q += 16 * (p[16 + i] >> j & 1);
      out[32 * j + i] = d * static_cast<float>(scale) * static_cast<float>(q) - dmin * static_cast<float>(minimum);
    }
  }
}

void q6_k_block(const Byte* p, float* out) {
  const float d = half_at(p + 208);
  for (int i = 0; i < 256; ++i) {
    const int part = i / 128;
    const int j = i % 128 / 32;  // which of four runs of 32 in this half
    const int l = i % 32;
    const Byte low = p[64 * part + 32 * (j % 2) + l];
    const int q = (j < 2 ? low & 15 : low >> 4) | (p[128 + 32 * part + l] >> (2 * j) & 3) << 4;
    const auto scale = static_cast<std::int8_t>(p[192 + i / 16]);
    out[i] = d * static_cast<float>(scale) * static_cast<float>(q - 32);
  }
}

}  // namespace

float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = bits >> 10 & 31u;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00u | (bits >> 13 & 0x3ffu));
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00u);
  // Below 2^-14 the spacing is 2^-24; above, ten fraction bits are kept.
  if (magnitude < 0x1p-14f) return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(magnitude * 0x1p24f)));
  const std::uint32_t m = std::bit_cast<std::uint32_t>(magnitude);
  const std::uint32_t rounded = m + 0xfffu + (m >> 13 & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded >> 13) - (112u << 10)));
}

void dequantize_row(DType dtype, const std::byte* src, int n, float* out) {
  const auto* p = reinterpret_cast<const Byte*>(src);
  switch (dtype) {
    case DType::kF32: std::memcpy(out, p, static_cast<std::size_t>(n) * sizeof(float)); return;
    case DType::kF16:
      for (int i = 0; i < n; ++i) out[i] = half_at(p + 2 * i);
      return;
    case DType::kBF16:
      for (int i = 0; i < n; ++i) out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(load_as<std::uint16_t>(p + 2 * i)) << 16);
      return;
    default: break;
  }
  const DTypeInfo& info = dtype_info(dtype);
  for (int i = 0; i < n; i += info.block_values, p += info.block_bytes) {
    switch (dtype) {
      case DType::kQ4_K:
      case DType::kQ5_K: super_block(dtype, p, out + i); break;
      case DType::kQ6_K: q6_k_block(p, out + i); break;
      default: small_block(dtype, p, out + i); break;
    }
  }
}

}  // namespace stoa::models
