// The tables behind kernels(Isa), one for each file of kernels.
#pragma once

#include "models/compute/cpu/kernels.h"

namespace stoa::models {

const Kernels& plain_kernels();
const Kernels& avx2_kernels();
const Kernels& avx512_kernels();
const Kernels& avx512_bf16_kernels();
const Kernels& amx_kernels();

}  // namespace stoa::models
