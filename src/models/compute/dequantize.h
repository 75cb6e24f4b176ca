// Stored values as float32.
//
// Block formats of weights, as in GGUF files (little endian, f16 scales; q are the stored integers of 32 values, in order):
//   Q4_0  d, 16 bytes: value i is the low nibble of byte i, value i+16 the high one     w = d (q - 8)
//   Q4_1  d, m, 16 bytes as Q4_0                                                        w = d q + m
//   Q5_0  d, 32 high bits (bit i of value i), 16 bytes of low nibbles                   w = d (q - 16)
//   Q5_1  d, m, high bits, nibbles                                                      w = d q + m
//   Q8_0  d, 32 signed bytes                                                            w = d q
// and of 256 values, divided into sub-blocks with scales of their own:
//   Q4_K  d, dmin, 12 bytes with 8 pairs (scale, min) of 6 bits, 128 bytes: of each 32 bytes the low nibbles are one sub-block of
//         32 values, the high nibbles the next                                          w = d scale q - dmin min
//   Q5_K  d, dmin, 12 bytes, 32 bytes of high bits (bit j of byte i: sub-block j), 128 bytes as Q4_K
//   Q6_K  128 bytes of low nibbles, 64 bytes of high bit pairs, 16 signed scales (16 values each), d    w = d scale (q - 32)
#pragma once

#include <cstddef>
#include <cstdint>

#include "models/formats/dtype.h"

namespace stoa::models {

// One row of n stored values of any type can_compute() names as float32; n a multiple of the type's block.
void dequantize_row(DType dtype, const std::byte* src, int n, float* out);

float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);  // round to nearest even

}  // namespace stoa::models
