// Where models are computed: a backend for each kind of device, a folder each beside this file (cpu/). apps/stoa/wiring makes the one that
// is configured; an engine asks it for what it needs and does not learn which it is (docs/adr/0004-compute-backends.md).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "base/result.h"
#include "models/compute/compute.h"
#include "models/compute/weights.h"
#include "models/formats/dtype.h"

namespace stoa::models {

// Owns copies of weights in the order and the place that suit a backend, for products of the same backend.
class WeightStore {
 public:
  virtual ~WeightStore() = default;

  // The copy of `w`, which lives as long as this object; weights that are packed already come back as they are. Products of them are
  // several times faster than of weights as they lie in a file. Error: kResourceExhausted where memory does not suffice.
  virtual Result<Weights> add(const Weights& w) = 0;
};

// In words, for logs and reports.
struct BackendReport {
  std::string kernels;  // such as "avx512_bf16"
  std::string why;      // these
  int threads = 1;
};

// Thread-safe. Outlives what it makes.
class Backend {
 public:
  virtual ~Backend() = default;

  virtual BackendReport report() const = 0;
  // What multiplies weights of a type.
  virtual std::string product_kernel(DType dtype) const = 0;

  virtual std::unique_ptr<Compute> make_compute() = 0;
  // `aside`: it does its work on the caller's thread alone, because an engine may be busy with all the others.
  virtual std::unique_ptr<WeightStore> make_weight_store(bool aside = false) = 0;
  // The memory that a store's copy of `w` takes.
  virtual std::size_t stored_bytes(const Weights& w) const = 0;
};

}  // namespace stoa::models
