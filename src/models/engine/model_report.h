// What was found and decided when a model was loaded: the start-up report, in the log, in `stoa models show`, and under /v1/stoa/status.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "models/compute/backend.h"
#include "models/compute/kv_cache.h"
#include "models/engine/memory_plan.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// The weight matrices of one type, together.
struct TensorGroup {
  std::string type;    // "Q4_K"
  int tensors = 0;
  std::size_t bytes = 0;
  std::string kernel;  // Backend::product_kernel
};

// One decision and its reason, as short sentences for people.
struct ReportedChoice {
  std::string what;   // "kernels", "context", "weights", "keys and values", "activations", "speculation"
  std::string value;  // "avx512", "8192 tokens", "98.5 MiB"
  std::string why;
};

struct ModelReport {
  std::string architecture, name, weight_type, isa;
  std::string draft_model;  // its file; empty without one
  MemoryPlan memory;
  std::optional<std::size_t> available;  // memory that was left for the plan, where the system says
  KvType kv_type = KvType::kF16;
  int context_length = 0, vocabulary = 0, threads = 0;
  double load_seconds = 0;
  std::vector<TensorGroup> tensors;  // largest first
  std::vector<ReportedChoice> choices;
};

// The matrices of a file by type, and what multiplies them.
std::vector<TensorGroup> group_tensors(const GgufFile& file, const Backend& backend);

// The log lines: one for the model, one for each group and each choice.
void log_report(const ModelReport& report, const std::string& file);

}  // namespace stoa::models
