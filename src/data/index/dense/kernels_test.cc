#include "data/index/dense/kernels.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace stoa::data {
namespace {

// Random bytes, and those at the ends of the ranges, where sums of 16 bits would overflow.
std::vector<std::uint8_t> bytes(std::size_t count, int kind, std::mt19937& random) {
  std::vector<std::uint8_t> all(count);
  for (auto& byte : all) byte = kind == 0 ? static_cast<std::uint8_t>(random()) : kind == 1 ? 0xFF : 0x80;
  return all;
}

TEST(CodeKernels, EveryInstructionSetGivesWhatThePlainTwinGives) {
  std::mt19937 random(1);
  for (const CodeKernels* kernels : supported_code_kernels())
    for (std::size_t half = 32; half <= 256; half += 32)
      for (int kind = 0; kind < 9; ++kind) {
        SCOPED_TRACE(testing::Message() << kernels->name << ", " << half << " bytes, kind " << kind);
        std::vector<std::vector<std::uint8_t>> codes;
        std::vector<const std::uint8_t*> pointers;
        for (int i = 0; i < 7; ++i) codes.push_back(bytes(half, kind % 3, random));
        for (const auto& code : codes) pointers.push_back(code.data());
        const auto residual = bytes(2 * half, kind % 3, random), high = bytes(2 * half, kind / 3, random), low = bytes(2 * half, kind / 3, random);
        const auto* h = reinterpret_cast<const std::int8_t*>(high.data());
        const auto* l = reinterpret_cast<const std::int8_t*>(low.data());
        for (std::size_t count = 0; count <= codes.size(); ++count) {
          std::vector<std::int32_t> expected(count), sums(count);
          plain_code_kernels().score(h, half, pointers.data(), count, expected.data());
          kernels->score(h, half, pointers.data(), count, sums.data());
          EXPECT_EQ(sums, expected);
        }
        std::vector<std::int32_t> expected(3), sums(3);
        plain_code_kernels().refine(h, l, half, codes[0].data(), residual.data(), expected.data());
        kernels->refine(h, l, half, codes[0].data(), residual.data(), sums.data());
        EXPECT_EQ(sums, expected);
        for (std::size_t count = 0; count <= codes.size(); ++count)
          for (std::size_t words = 1; words <= 2 * half / 64; ++words) {
            std::vector<std::int32_t> marked(count, -1), plain(count);
            plain_code_kernels().sum_marked(h, words, pointers.data(), count, plain.data());
            kernels->sum_marked(h, words, pointers.data(), count, marked.data());
            EXPECT_EQ(marked, plain);
          }
        EXPECT_EQ(kernels->pair(codes[0].data(), codes[1].data(), half), plain_code_kernels().pair(codes[0].data(), codes[1].data(), half));
      }
}

TEST(CodeKernels, ThePlainTwinSumsProducts) {
  std::vector<std::uint8_t> code(32, 0), other(32, 0x21), residual(64, 0);
  std::vector<std::int8_t> high(64, 0), low(64, 0);
  code[1] = 0x53;  // dimension 1 is 3, dimension 33 is 5
  residual[33] = 200;
  high[1] = 10, high[33] = -100, low[33] = 7;
  const std::uint8_t* codes[] = {code.data()};
  std::int32_t sums[3];
  plain_code_kernels().score(high.data(), 32, codes, 1, sums);
  EXPECT_EQ(sums[0], 30 - 500);
  plain_code_kernels().refine(high.data(), low.data(), 32, code.data(), residual.data(), sums);
  EXPECT_EQ(sums[0], 30 - 500);
  EXPECT_EQ(sums[1], 35);
  EXPECT_EQ(sums[2], -20000);
  plain_code_kernels().sum_marked(high.data(), 1, codes, 1, sums);
  EXPECT_EQ(sums[0], 0);
  code[0] = 2;  // of dimension 1
  code[4] = 3;  // of 32 and 33
  plain_code_kernels().sum_marked(high.data(), 1, codes, 1, sums);
  EXPECT_EQ(sums[0], 10 - 100);
  code[0] = code[4] = 0;
  EXPECT_EQ(plain_code_kernels().pair(code.data(), other.data(), 32), 3 * 1 + 5 * 2);
}

}  // namespace
}  // namespace stoa::data
