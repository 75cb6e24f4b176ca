// Rounding of rows of float32 to the block formats of GGUF (layouts: models/compute/dequantize.h). Where a format leaves the scale open, it is
// searched: of some twenty candidates the one whose weighted squared error is the smallest, after the least-squares correction of scale
// (and minimum) for the integers it gave.
#pragma once

#include <cstddef>
#include <span>

#include "models/formats/dtype.h"

namespace stoa::models {

// True for the types quantize_row() writes: F32, F16, BF16 and the block formats.
bool can_quantize(DType dtype);

// True when every value is finite and in the range of `dtype` and its scales: beyond +-65504 only BF16 and F32 reach.
bool representable(DType dtype, std::span<const float> values);

// values.size() is a multiple of the type's block and representable(); `out` takes dtype_bytes(dtype, values.size()) bytes.
void quantize_row(DType dtype, std::span<const float> values, std::byte* out);

}  // namespace stoa::models
