// The kernels for AVX-512. Compiled with its own flags (CMakeLists.txt): what is defined here must not be visible to the linker under a
// name that other files could share (see simd_avx2.h).
#include "models/compute/cpu/simd_avx512.h"

#include "models/compute/cpu/kernel_tables.h"
#include "models/compute/cpu/simd_attention.h"
#include "models/compute/cpu/simd_convert.h"
#include "models/compute/cpu/simd_elementwise.h"
#include "models/compute/cpu/simd_matmul.h"

namespace stoa::models {

const Kernels& avx512_kernels() {
  static constexpr Kernels kTable = {
      .quantize = quantize<Avx512>,
      .to_bf16 = to_bf16<Avx512>,
      .matmul = matmul_tile<Avx512>,
      .attention = attention_tile<Avx512>,
      .quantize_kv = quantize_kv<Avx512>,
      .rms_norm = rms_norm<Avx512>,
      .layer_norm = layer_norm<Avx512>,
      .add = add<Avx512>,
      .silu_mul = silu_mul<Avx512>,
      .gelu_mul = gelu_mul<Avx512>,
      .gelu_erf = gelu_erf<Avx512>,
      .gelu_tanh = gelu_tanh<Avx512>,
      .softcap = softcap<Avx512>,
      .softmax = softmax<Avx512>,
      .argmax = argmax<Avx512>,
      .rope_interleaved = rope_interleaved<Avx512>,
      .rope_halves = rope_halves<Avx512>,
      .to_f16 = to_f16<Avx512>,
  };
  return kTable;
}

}  // namespace stoa::models
