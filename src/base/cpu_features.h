// Which instruction sets this processor offers and the operating system lets a process use.
#pragma once

namespace stoa {

struct CpuFeatures {
  bool avx2 = false;    // AVX2 with FMA and F16C, which every processor with AVX2 that we know of has
  bool avx512 = false;  // AVX-512 F, BW, VL, DQ and VNNI, with the register state enabled by the operating system
  bool avx512_bf16 = false;  // that and AVX512_BF16
  bool amx = false;          // that, AVX512_VBMI, and tile registers with bfloat16 products that the operating system lets this process use
};

CpuFeatures detect_cpu();

}  // namespace stoa
