// Blocks of 128 numbers in as many bits each as the greatest needs. Internal to this folder.
//
// Number i lies in lane i % 4 of four 32-bit lanes, so that one step of 128-bit registers takes four numbers (the layout of SIMD-BP128: Lemire and
// Boytsov, Decoding billions of integers per second through vectorization, 2015).
#pragma once

#include <cstddef>
#include <cstdint>

namespace stoa::data {

constexpr std::size_t kBlockSize = 128;

constexpr std::size_t packed_size(unsigned bits) { return bits * kBlockSize / 8; }
unsigned bits_needed(const std::uint32_t* values);  // 0 to 32
void pack(const std::uint32_t* values, unsigned bits, std::uint8_t* out);
void unpack(const std::uint8_t* in, unsigned bits, std::uint32_t* out);
// The numbers are differences less one: out[i] = out[i - 1] + 1 + value, with `before` as out[-1].
void unpack_ascending(const std::uint8_t* in, unsigned bits, std::uint32_t before, std::uint32_t* out);

}  // namespace stoa::data
