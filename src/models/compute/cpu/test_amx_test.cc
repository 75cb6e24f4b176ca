// The emulator of AMX itself: that it finds operands as the processor does. Where there is AMX, the processor is tested.
#include "models/compute/cpu/test_amx.h"

#include <gtest/gtest.h>

#if defined(__x86_64__) && defined(__linux__)

namespace stoa::models {
namespace {

struct alignas(64) Config {
  std::uint8_t palette = 1, start = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {8, 8, 8};
  std::uint8_t rows[16] = {2, 2, 2};
};

TEST(AmxEmulator, FindsOperandsInMemory) {
  if (!test::AmxEmulator::works()) GTEST_SKIP() << "needs AVX512_BF16 and AVX512_VBMI";
  const test::AmxEmulator emulator;
  const Config config;
  std::uint8_t from[512], to[512] = {};
  for (int i = 0; i < 512; ++i) from[i] = static_cast<std::uint8_t>(i % 251);
  // Bases and indices that are written in ways of their own, displacements of one and of four bytes, a scaled index.
  register const std::uint8_t* r12 asm("r12") = from;
  register const std::uint8_t* r13 asm("r13") = from;
  register std::int64_t r14 asm("r14") = 32;
  asm volatile(
      "ldtilecfg %[config]\n"
      "tileloadd (%%r12,%%r14,1), %%tmm0\n"
      "tilestored %%tmm0, (%[to],%%r14,1)\n"
      "tileloaddt1 (%%r13,%%r14,2), %%tmm1\n"
      "tilestored %%tmm1, 64(%[to],%%r14,1)\n"
      "tileloadd -16(%[end],%%r14,1), %%tmm2\n"
      "tilestored %%tmm2, 128(%[to],%%r14,1)\n"
      "tileloadd 256(%%r13,%%r14,4), %%tmm0\n"
      "tilestored %%tmm0, 192(%[to],%%r14,1)\n"
      "tilezero %%tmm1\n"
      "tilestored %%tmm1, 256(%[to],%%r14,1)\n"
      "tilerelease\n"
      :
      : [config] "m"(config), [to] "r"(to), [end] "r"(from + 128), "r"(r12), "r"(r13), "r"(r14)
      : "memory");
  struct Case {
    int to, from, stride;
  };
  const Case cases[] = {{0, 0, 32}, {64, 0, 64}, {128, 112, 32}, {192, 256, 128}};
  for (const Case& c : cases) {
    for (int row = 0; row < 2; ++row) {
      for (int i = 0; i < 32; ++i) EXPECT_EQ(to[c.to + 32 * row + i], i < 8 ? from[c.from + c.stride * row + i] : 0) << "to " << c.to << " row " << row << " byte " << i;
    }
  }
  for (int i = 256; i < 320; ++i) EXPECT_EQ(to[i], 0) << i;
}

// One row of pairs by one column: 1 + 2^-8 is exact, 2^-25 is lost beside it, and denormal numbers are zero.
TEST(AmxEmulator, MultipliesPairs) {
  if (!test::AmxEmulator::works()) GTEST_SKIP() << "needs AVX512_BF16 and AVX512_VBMI";
  const test::AmxEmulator emulator;
  Config config;
  for (int i = 0; i < 3; ++i) {
    config.row_bytes[i] = 4;
    config.rows[i] = 1;
  }
  struct Case {
    std::uint16_t left[2], right[2];
    float before, expected;
  };
  const Case cases[] = {
      {{0x3f80, 0x4000}, {0x4040, 0x4080}, 0.5f, 11.5f},                      // 1 * 3 + 2 * 4
      {{0x3f80, 0x3b80}, {0x3f80, 0x3f80}, 0.0f, 1.0f + 0x1p-8f},            // 1 + 2^-8
      {{0x3f80, 0x3300}, {0x3f80, 0x3f80}, 0.0f, 1.0f},                      // 1 + 2^-25
      {{0x0040, 0x0000}, {0x7f00, 0x0000}, 0.0f, 0.0f},                      // denormal * 2^127
  };
  for (const Case& c : cases) {
    float sum = c.before;
    asm volatile(
        "ldtilecfg %[config]\n"
        "tileloadd (%[sum],%[stride],1), %%tmm0\n"
        "tileloadd (%[left],%[stride],1), %%tmm1\n"
        "tileloadd (%[right],%[stride],1), %%tmm2\n"
        "tdpbf16ps %%tmm2, %%tmm1, %%tmm0\n"
        "tilestored %%tmm0, (%[sum],%[stride],1)\n"
        "tilerelease\n"
        :
        : [config] "m"(config), [sum] "r"(&sum), [left] "r"(c.left), [right] "r"(c.right), [stride] "r"(std::int64_t{64})
        : "memory");
    EXPECT_EQ(sum, c.expected);
  }
}

}  // namespace
}  // namespace stoa::models

#endif
