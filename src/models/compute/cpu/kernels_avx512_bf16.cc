// What AVX512_BF16 adds to the kernels for AVX-512: products of bfloat16 numbers two at a time. See kernels_avx512.cc.
#include "models/compute/cpu/simd_avx512.h"

#include "models/compute/cpu/kernel_tables.h"
#include "models/compute/cpu/simd_matmul.h"

namespace stoa::models {
namespace {

struct Avx512Bf16 : Avx512 {
  static F dot_bf16(F acc, I w, I x) { return _mm512_dpbf16_ps(acc, reinterpret_cast<__m512bh>(w), reinterpret_cast<__m512bh>(x)); }
};

void matmul(const MatmulTile& tile) {
  return tile.dtype == DType::kBF16 ? float_matmul<Avx512Bf16, DType::kBF16>(tile) : avx512_kernels().matmul(tile);
}

}  // namespace

const Kernels& avx512_bf16_kernels() {
  static const Kernels table = [] {
    Kernels t = avx512_kernels();
    t.matmul = matmul;
    return t;
  }();
  return table;
}

}  // namespace stoa::models
