// From how many rows of x on a product is faster in tile registers (matmul_tiles, kernels.h), which costs the expansion of the weights
// first, than directly (matmul).
#pragma once

#include <limits>
#include <span>

#include "models/compute/cpu/isa.h"
#include "models/compute/cpu/kernels.h"
#include "models/formats/dtype.h"

namespace stoa::models {

struct TileRows {
  static constexpr int kNever = std::numeric_limits<int>::max();

  static constexpr TileRows never() { return {kNever, kNever, kNever}; }

  int blocks = 32;  // block formats
  int f16 = 16;
  int bf16 = 16;

  // Of any type can_compute() names.
  int of(DType dtype) const;
  bool operator==(const TileRows&) const = default;
};

// How long (in any unit) both ways took with so many rows.
struct TileTiming {
  int rows = 0;
  double direct = 0;
  double tiles = 0;
};

// The least number of rows from which on tiles were faster in all timings, which are in ascending order of rows; kNever if there is none.
int least_rows_for_tiles(std::span<const TileTiming> timings);

// Times both ways on a matrix that fits into a cache, the fastest of `repeats` runs each: some milliseconds.
TileRows measure_tile_rows(const Kernels& kernels, int repeats);

// For a set of kernels on this machine: measured once in the life of the process; the defaults above where the processor has no tile
// registers (they are emulated); kNever for sets without.
const TileRows& tile_rows(Isa isa);

}  // namespace stoa::models
