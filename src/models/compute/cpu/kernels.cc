#include "models/compute/cpu/kernels.h"

#include "models/compute/cpu/kernel_tables.h"

namespace stoa::models {

const Kernels& kernels(Isa isa) {
  switch (isa) {
    case Isa::kPlain: return plain_kernels();
    case Isa::kAvx2: return avx2_kernels();
    case Isa::kAvx512: return avx512_kernels();
    case Isa::kAvx512Bf16: return avx512_bf16_kernels();
    case Isa::kAmx: return amx_kernels();
  }
  return plain_kernels();
}

}  // namespace stoa::models
