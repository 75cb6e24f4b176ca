#include "models/compute/cpu/isa.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/cpu_features.h"

namespace stoa::models {

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kPlain: return "plain";
    case Isa::kAvx2: return "avx2";
    case Isa::kAvx512: return "avx512";
    case Isa::kAvx512Bf16: return "avx512_bf16";
    case Isa::kAmx: return "amx";
  }
  return "unknown";
}

std::vector<Isa> supported_isas() {
  const CpuFeatures features = detect_cpu();
  std::vector<Isa> isas = {Isa::kPlain};
  if (features.avx2) isas.push_back(Isa::kAvx2);
  if (features.avx512) isas.push_back(Isa::kAvx512);
  if (features.avx512_bf16) isas.push_back(Isa::kAvx512Bf16);
  if (features.amx) isas.push_back(Isa::kAmx);
  return isas;
}

Isa best_isa() { return supported_isas().back(); }

Result<Isa> choose_isa(std::string_view name) {
  if (name.empty() || name == "auto") return best_isa();
  std::vector<std::string_view> names;
  for (const Isa isa : supported_isas()) {
    if (isa_name(isa) == name) return isa;
    names.push_back(isa_name(isa));
  }
  return fail(error(ErrorCode::kInvalidArgument, "instruction set '{}' is not one this machine can run", name)
                  .with_hint(fmt::format("use one of: auto, {}", fmt::join(names, ", "))));
}

}  // namespace stoa::models
