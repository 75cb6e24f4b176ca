// The backend for processors: kernels for each instruction set, chosen at run time.
#pragma once

#include "models/compute/backend.h"
#include "models/compute/cpu/isa.h"
#include "models/compute/thread_pool.h"

namespace stoa::models {

class CpuBackend final : public Backend {
 public:
  // `threads` outlives it; `isa` is one of supported_isas().
  explicit CpuBackend(ThreadPool& threads, Isa isa = best_isa()) : threads_(threads), isa_(isa) {}

  BackendReport report() const override;
  std::string product_kernel(DType dtype) const override;
  std::unique_ptr<Compute> make_compute() override;
  std::unique_ptr<WeightStore> make_weight_store(bool aside = false) override;
  std::size_t stored_bytes(const Weights& w) const override;

 private:
  ThreadPool& threads_;
  ThreadPool aside_{1};  // the caller
  const Isa isa_;
};

}  // namespace stoa::models
