// Weight matrices, checked once when a model is loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "models/formats/dtype.h"

namespace stoa::models {

// A weight matrix of `rows` outputs by `cols` inputs. Not owned.
struct Weights {
  DType dtype = DType::kF32;
  int rows = 0;
  int cols = 0;
  const std::byte* data = nullptr;  // rows one after the other as in the file, or what a WeightStore (backend.h) made of them if packed
  bool packed = false;
};

// True for the types that can be computed with: F32, F16, BF16 and the block formats.
bool can_compute(DType dtype);

// Checks once at load time what the operations then rely on: a supported type, cols a multiple of the block (and of 16), positive
// sizes, and `bytes` long enough for the rows.
Result<Weights> make_weights(DType dtype, std::int64_t rows, std::int64_t cols, std::span<const std::byte> bytes);

}  // namespace stoa::models
