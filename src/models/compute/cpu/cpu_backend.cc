#include "models/compute/cpu/cpu_backend.h"

#include "models/compute/cpu/cpu_compute.h"
#include "models/compute/cpu/packed_weights.h"
#include "models/compute/cpu/product_kernel.h"

namespace stoa::models {

BackendReport CpuBackend::report() const {
  return {.kernels = std::string(isa_name(isa_)),
          .why = isa_ == best_isa() ? "the widest instruction set that this processor and the kernels have" : "asked for",
          .threads = threads_.threads()};
}

std::string CpuBackend::product_kernel(DType dtype) const { return models::product_kernel(isa_, dtype); }

std::unique_ptr<Compute> CpuBackend::make_compute() { return std::make_unique<CpuCompute>(threads_, isa_); }

std::unique_ptr<WeightStore> CpuBackend::make_weight_store(bool aside) { return std::make_unique<PackedWeights>(aside ? aside_ : threads_); }

std::size_t CpuBackend::stored_bytes(const Weights& w) const { return PackedWeights::bytes_of(w); }

}  // namespace stoa::models
