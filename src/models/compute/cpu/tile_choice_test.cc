#include "models/compute/cpu/tile_choice.h"

#include <vector>

#include <gtest/gtest.h>

#include "base/cpu_features.h"
#include "models/compute/cpu/test_amx.h"

namespace stoa::models {
namespace {

TEST(TileChoice, TakesTheLeastRowsFromWhichTilesAlwaysWin) {
  struct Case {
    std::vector<TileTiming> timings;
    int expected;
  };
  const Case cases[] = {
      {{{8, 1, 2}, {16, 2, 2}, {32, 4, 3}, {64, 8, 5}}, 32},
      {{{8, 1, 0.5}, {16, 2, 1}}, 8},
      {{{8, 2, 1}, {16, 2, 3}, {32, 4, 3}}, 32},  // a win with few rows alone may be chance
      {{{8, 1, 2}, {16, 2, 3}}, TileRows::kNever},
      {{}, TileRows::kNever},
  };
  for (const Case& c : cases) EXPECT_EQ(least_rows_for_tiles(c.timings), c.expected);
}

TEST(TileChoice, IsMeasuredForEachClassOfWeights) {
  if (!test::AmxEmulator::works()) GTEST_SKIP() << "needs AVX512_BF16 and AVX512_VBMI";
  const test::AmxEmulator emulator;
  const TileRows rows = measure_tile_rows(kernels(Isa::kAmx), 1);
  for (const int least : {rows.blocks, rows.f16, rows.bf16}) EXPECT_TRUE(least == TileRows::kNever || (least >= 16 && least <= 96)) << least;
}

TEST(TileChoice, IsOnlyForSetsWithTiles) {
  for (const Isa isa : {Isa::kPlain, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16}) {
    for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ4_K}) EXPECT_EQ(tile_rows(isa).of(dtype), TileRows::kNever);
  }
  EXPECT_EQ(TileRows{}.of(DType::kF32), TileRows::kNever);
  EXPECT_EQ(TileRows{}.of(DType::kQ6_K), TileRows{}.blocks);
  if (!detect_cpu().amx) {
    EXPECT_EQ(tile_rows(Isa::kAmx), TileRows{});
  }
}

}  // namespace
}  // namespace stoa::models
