// The sums that walks and scans of the dense index are made of, for each instruction set. All are sums of integers: every set gives the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace stoa::data {

// Codes hold two dimensions a byte: byte j has dimension j in its low half and dimension half + j in its high half, `half` a multiple of 32. A query is
// 2 * half signed bytes in the order of the dimensions. No alignment is needed.
struct CodeKernels {
  std::string_view name;  // "plain", "avx2", "avx512"
  // sums[i] = sum over d of query[d] * code_i[d], for `count` codes.
  void (*score)(const std::int8_t* query, std::size_t half, const std::uint8_t* const* codes, std::size_t count, std::int32_t* sums);
  // sums[0] = sum of high[d] * code[d], sums[1] = sum of low[d] * code[d], sums[2] = sum of high[d] * residual[d].
  void (*refine)(const std::int8_t* high, const std::int8_t* low, std::size_t half, const std::uint8_t* code, const std::uint8_t* residual, std::int32_t* sums);
  // sums[i] = sum of query[d] over the dimensions d of which bit d % 8 of byte d / 8 of marks_i is set, for `count` of them. There are 64 * words dimensions.
  void (*sum_marked)(const std::int8_t* query, std::size_t words, const std::uint8_t* const* marks, std::size_t count, std::int32_t* sums);
  // Sum of a[d] * b[d] over two codes.
  std::int32_t (*pair)(const std::uint8_t* a, const std::uint8_t* b, std::size_t half);
};

// What this machine can run, slowest first; the plain twin is always there.
std::span<const CodeKernels* const> supported_code_kernels();
const CodeKernels& best_code_kernels();

const CodeKernels& plain_code_kernels();
#if defined(__x86_64__)
const CodeKernels& avx2_code_kernels();
const CodeKernels& avx512_code_kernels();  // with VNNI
#endif

}  // namespace stoa::data
