// Random weights of every type for the tests of backends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "models/compute/dequantize.h"
#include "models/formats/dtype.h"

namespace stoa::models::test {

inline constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                                   DType::kQ5_0, DType::kQ5_1, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

inline std::vector<float> random_floats(std::mt19937& random, std::size_t count, float deviation = 1.0f) {
  std::normal_distribution<float> normal(0.0f, deviation);
  std::vector<float> out(count);
  for (float& v : out) v = normal(random);
  return out;
}

// Random bits, except that halves which are scales get moderate finite values.
inline std::vector<std::byte> random_weights(std::mt19937& random, DType dtype, int rows, int cols) {
  const DTypeInfo& info = dtype_info(dtype);
  const std::size_t values = static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols);
  std::vector<std::byte> out(bytes_of(info, values));
  const std::vector<float> floats = random_floats(random, values, 0.05f);
  if (dtype == DType::kF32) {
    std::memcpy(out.data(), floats.data(), out.size());
    return out;
  }
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    for (std::size_t i = 0; i < values; ++i) {
      std::uint32_t bits;
      std::memcpy(&bits, &floats[i], sizeof bits);
      const std::uint16_t half = dtype == DType::kF16 ? f32_to_f16(floats[i]) : static_cast<std::uint16_t>(bits >> 16);
      std::memcpy(out.data() + 2 * i, &half, sizeof half);
    }
    return out;
  }
  std::uniform_int_distribution<int> byte(0, 255);
  for (std::byte& b : out) b = static_cast<std::byte>(byte(random));
  const bool two = dtype == DType::kQ4_1 || dtype == DType::kQ5_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K;
  const std::size_t first = dtype == DType::kQ6_K ? 208 : 0;
  for (std::size_t at = 0, i = 0; at < out.size(); at += info.block_bytes, ++i) {
    for (std::size_t h = 0; h < (two ? 2u : 1u); ++h) {
      const std::uint16_t half = f32_to_f16(floats[2 * i + h] * 0.1f);
      std::memcpy(out.data() + at + first + 2 * h, &half, sizeof half);
    }
  }
  return out;
}

}  // namespace stoa::models::test
