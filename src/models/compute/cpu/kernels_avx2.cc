// The kernels for AVX2. Compiled with its own flags (CMakeLists.txt): what is defined here must not be visible to the linker under a
// name that other files could share (see simd_avx2.h).
#include "models/compute/cpu/simd_avx2.h"

#include "models/compute/cpu/kernel_tables.h"
#include "models/compute/cpu/simd_attention.h"
#include "models/compute/cpu/simd_convert.h"
#include "models/compute/cpu/simd_elementwise.h"
#include "models/compute/cpu/simd_matmul.h"

namespace stoa::models {

const Kernels& avx2_kernels() {
  static constexpr Kernels kTable = {
      .quantize = quantize<Avx2>,
      .to_bf16 = to_bf16<Avx2>,
      .matmul = matmul_tile<Avx2>,
      .attention = attention_tile<Avx2>,
      .quantize_kv = quantize_kv<Avx2>,
      .rms_norm = rms_norm<Avx2>,
      .layer_norm = layer_norm<Avx2>,
      .add = add<Avx2>,
      .silu_mul = silu_mul<Avx2>,
      .gelu_mul = gelu_mul<Avx2>,
      .gelu_erf = gelu_erf<Avx2>,
      .gelu_tanh = gelu_tanh<Avx2>,
      .softcap = softcap<Avx2>,
      .softmax = softmax<Avx2>,
      .argmax = argmax<Avx2>,
      .rope_interleaved = rope_interleaved<Avx2>,
      .rope_halves = rope_halves<Avx2>,
      .to_f16 = to_f16<Avx2>,
  };
  return kTable;
}

}  // namespace stoa::models
