// A tensor as it lies in a model file, whichever format the file has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "models/formats/dtype.h"

namespace stoa::models {

// `data` points into the mapped file and lives as long as the file object. Its size is exactly that of `shape` in `dtype`.
// GGUF data is aligned to the file's alignment (32 by default); safetensors data only to what its writer chose.
struct TensorView {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<std::int64_t> shape;  // row-major: the last dimension is contiguous (GGUF's own order reversed); every one >= 0
  std::span<const std::byte> data;

  std::int64_t elements() const {
    std::int64_t product = 1;
    for (const auto size : shape) product *= size;
    return product;
  }
};

}  // namespace stoa::models
