// Which instruction sets this processor and operating system offer, and the choice of kernels that follows from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models {

struct CpuFeatures {
  bool avx2 = false;    // AVX2 with FMA and F16C, which every processor with AVX2 that we know of has
  bool avx512 = false;  // AVX-512 F, BW, VL, DQ and VNNI, with the register state enabled by the operating system
  bool avx512_bf16 = false;  // that and AVX512_BF16
  bool amx = false;          // that, AVX512_VBMI, and tile registers with bfloat16 products that the operating system lets this process use
};

CpuFeatures detect_cpu();

// The instruction sets kernels exist for, slowest first. kPlain is the scalar reference that runs anywhere.
enum class Isa : std::uint8_t { kPlain, kAvx2, kAvx512, kAvx512Bf16, kAmx };

std::string_view isa_name(Isa isa);  // "plain", "avx2", "avx512", "avx512_bf16", "amx"

// What this machine can run, slowest first (kPlain always), and the last of it.
std::vector<Isa> supported_isas();
Isa best_isa();

// The set with this name, or the best for "" and "auto"; an error names what this machine supports.
Result<Isa> choose_isa(std::string_view name);

}  // namespace stoa::models
