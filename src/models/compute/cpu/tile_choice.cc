#include "models/compute/cpu/tile_choice.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/cpu_features.h"
#include "models/compute/cpu/packed_weights.h"

namespace stoa::models {

namespace {

constexpr int kRows = 128, kCols = 1024;
// Not fewer: such steps are bound by memory either way, and whoever guesses a few tokens ahead wants the result of one at a time.
constexpr std::array kCandidates = {16, 24, 32, 48, 64, 96};

struct alignas(64) Line {
  std::byte bytes[64] = {};
};
using Lines = std::vector<Line>;

Lines lines_for(std::size_t bytes) { return Lines((bytes + sizeof(Line) - 1) / sizeof(Line)); }

template <class Run>
double fastest(int repeats, Run run) {
  double best = std::numeric_limits<double>::infinity();
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

int measure(const Kernels& kernels, DType dtype, int repeats) {
  constexpr int kMost = kCandidates.back();
  // All zero: the time does not depend on the values.
  const Lines weights = lines_for(panel_bytes(dtype, kCols) * (kRows / kPanelRows));
  const std::size_t direct_stride = is_block_format(dtype) ? sizeof(ActivationGroup) * static_cast<std::size_t>(groups_of(kCols)) : sizeof(float) * kCols;
  const Lines direct_input = lines_for(direct_stride * kMost);
  const Lines tile_input = lines_for(tile_block_bytes(kCols) * (kMost / kTileRows));
  Lines sums = lines_for(tile_sums(kRows, kMost, kCols) * sizeof(float));
  std::vector<float> y(static_cast<std::size_t>(kRows * kMost));
  MatmulTile direct = {.dtype = dtype, .w = weights.data()->bytes, .rows = kRows, .cols = kCols, .x = direct_input.data()->bytes, .x_stride = direct_stride,
                       .y = y.data(), .y_stride = kRows};
  MatmulTile tiles = direct;
  tiles.x = tile_input.data()->bytes;
  tiles.x_stride = tile_block_bytes(kCols);
  tiles.sums = reinterpret_cast<float*>(sums.data());
  tiles.m = kMost;
  kernels.matmul_tiles(tiles);  // the unit may have been asleep
  std::array<TileTiming, kCandidates.size()> timings;
  for (std::size_t i = 0; i < kCandidates.size(); ++i) {
    direct.m = tiles.m = kCandidates[i];
    timings[i] = {.rows = kCandidates[i],
                  .direct = fastest(repeats, [&] { kernels.matmul(direct); }),
                  .tiles = fastest(repeats, [&] { kernels.matmul_tiles(tiles); })};
  }
  return least_rows_for_tiles(timings);
}

}  // namespace

int TileRows::of(DType dtype) const {
  if (!has_tiles(dtype)) return kNever;
  return dtype == DType::kF16 ? f16 : dtype == DType::kBF16 ? bf16 : blocks;
}

int least_rows_for_tiles(std::span<const TileTiming> timings) {
  int least = TileRows::kNever;
  for (std::size_t i = timings.size(); i > 0 && timings[i - 1].tiles < timings[i - 1].direct; --i) least = timings[i - 1].rows;
  return least;
}

TileRows measure_tile_rows(const Kernels& kernels, int repeats) {
  return {.blocks = measure(kernels, DType::kQ8_0, repeats), .f16 = measure(kernels, DType::kF16, repeats), .bf16 = measure(kernels, DType::kBF16, repeats)};
}

const TileRows& tile_rows(Isa isa) {
  static constexpr TileRows kNone = TileRows::never();
  if (kernels(isa).matmul_tiles == nullptr) return kNone;
  constexpr int kRepeats = 4;
  static const TileRows rows = detect_cpu().amx ? measure_tile_rows(kernels(isa), kRepeats) : TileRows{};
  return rows;
}

}  // namespace stoa::models
