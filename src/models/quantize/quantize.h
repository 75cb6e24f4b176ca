// Rewrites a GGUF model with its weights in another type. Reads and writes what llama.cpp reads and writes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "models/compute/thread_pool.h"
#include "models/quantize/recipe.h"

namespace stoa::models {

struct QuantizeProgress {
  std::string_view tensor;
  std::size_t done = 0, tensors = 0;          // tensors finished, and in all
  std::uint64_t bytes = 0, total_bytes = 0;   // written, and of the file to be
};

struct QuantizeOptions {
  Recipe recipe;
  bool pure = false;        // the recipe's base type everywhere
  bool requantize = false;  // accept weights that are quantised already: what they lost stays lost
  bool force = false;       // replace an existing file
  // Called between pieces of work on the calling thread; false ends with kCancelled. May be empty.
  std::function<bool(const QuantizeProgress&)> progress;
};

struct QuantizedTensor {
  std::string name;
  DType from = DType::kF32, to = DType::kF32;
  std::uint64_t bytes = 0;
  std::string note;  // a fallback, said
};

struct QuantizeReport {
  std::uint64_t bytes_in = 0, bytes_out = 0;
  double bits_per_weight = 0;  // of the whole output
  std::vector<QuantizedTensor> tensors;
};

// The output appears whole or not at all: it is written beside its place, synced and renamed. Streams: takes some tens of MiB besides the
// page cache. Errors, each naming the file or tensor: those of GgufFile::open; kConflict (the output exists); kInvalidArgument (quantised
// input without `requantize`, values that the type cannot hold); kUnsupported (a part of a split model, an unknown tensor type);
// kResourceExhausted (the disk is full: foreseen where the system tells the room left); kUnavailable (the system refused); kCancelled.
Result<QuantizeReport> quantize_file(const std::filesystem::path& input, const std::filesystem::path& output, const QuantizeOptions& options,
                                     ThreadPool& threads);

}  // namespace stoa::models
