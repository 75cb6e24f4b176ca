// The choice of kernels that follows from what this processor and operating system offer (base/cpu_features.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models {

// The instruction sets kernels exist for, slowest first. kPlain is the scalar reference that runs anywhere.
enum class Isa : std::uint8_t { kPlain, kAvx2, kAvx512, kAvx512Bf16, kAmx };

std::string_view isa_name(Isa isa);  // "plain", "avx2", "avx512", "avx512_bf16", "amx"

// What this machine can run, slowest first (kPlain always), and the last of it.
std::vector<Isa> supported_isas();
Isa best_isa();

// The set with this name, or the best for "" and "auto"; an error names what this machine supports.
Result<Isa> choose_isa(std::string_view name);

}  // namespace stoa::models
