// Which kernel multiplies weights of a type, in words: for the report that an engine gives when it starts.
#pragma once

#include <string>

#include "models/compute/cpu/isa.h"
#include "models/formats/dtype.h"

namespace stoa::models {

// "8-bit integers, AVX-512 VNNI": what inputs and weights are multiplied as, and with which instructions. Of any type can_compute() names.
std::string product_kernel(Isa isa, DType dtype);

}  // namespace stoa::models
