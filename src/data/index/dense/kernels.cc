#include "data/index/dense/kernels.h"

#include <vector>

#include "base/cpu_features.h"

namespace stoa::data {

namespace {

std::int32_t plain_sum(const std::int8_t* query, std::size_t half, const std::uint8_t* code) {
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < half; ++j) sum += query[j] * (code[j] & 15) + query[half + j] * (code[j] >> 4);
  return sum;
}

void plain_score(const std::int8_t* query, std::size_t half, const std::uint8_t* const* codes, std::size_t count, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) sums[i] = plain_sum(query, half, codes[i]);
}

void plain_refine(const std::int8_t* high, const std::int8_t* low, std::size_t half, const std::uint8_t* code, const std::uint8_t* residual, std::int32_t* sums) {
  sums[0] = plain_sum(high, half, code);
  sums[1] = plain_sum(low, half, code);
  sums[2] = 0;
  for (std::size_t d = 0; d < 2 * half; ++d) sums[2] += high[d] * residual[d];
}

void plain_sum_marked(const std::int8_t* query, std::size_t words, const std::uint8_t* const* marks, std::size_t count, std::int32_t* sums) {
  for (std::size_t i = 0; i < count; ++i) {
    sums[i] = 0;
    for (std::size_t d = 0; d < 64 * words; ++d) sums[i] += query[d] & -(marks[i][d / 8] >> (d % 8) & 1);
  }
}

std::int32_t plain_pair(const std::uint8_t* a, const std::uint8_t* b, std::size_t half) {
  std::int32_t sum = 0;
  for (std::size_t j = 0; j < half; ++j) sum += (a[j] & 15) * (b[j] & 15) + (a[j] >> 4) * (b[j] >> 4);
  return sum;
}

std::vector<const CodeKernels*> find_supported() {
  std::vector<const CodeKernels*> found = {&plain_code_kernels()};
#if defined(__x86_64__)
  const CpuFeatures features = detect_cpu();
  if (features.avx2) found.push_back(&avx2_code_kernels());
  if (features.avx512) found.push_back(&avx512_code_kernels());
#endif
  return found;
}

}  // namespace

const CodeKernels& plain_code_kernels() {
  static constexpr CodeKernels kKernels = {"plain", plain_score, plain_refine, plain_sum_marked, plain_pair};
  return kKernels;
}

std::span<const CodeKernels* const> supported_code_kernels() {
  static const std::vector<const CodeKernels*> kFound = find_supported();
  return kFound;
}

const CodeKernels& best_code_kernels() { return *supported_code_kernels().back(); }

}  // namespace stoa::data
