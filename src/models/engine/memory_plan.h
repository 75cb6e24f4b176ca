// What a model will take of the machine's memory, known before it is loaded.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace stoa::models {

// In bytes. Weights count as they are packed for the kernels; their file is in memory only until then, and can be dropped. Keys
// and values count in full although their memory is taken as it is used: a busy engine uses it.
struct MemoryPlan {
  std::size_t weights = 0;
  std::size_t keys_and_values = 0;
  std::size_t activations = 0;  // of the largest step

  std::size_t total() const { return weights + keys_and_values + activations; }
};

// What this process can still have: MemAvailable (which includes files in the page cache), or less where its control group (version
// 2, the group itself or one above) leaves less. Nothing when the system does not say.
std::optional<std::size_t> available_memory(const std::filesystem::path& proc = "/proc", const std::filesystem::path& groups = "/sys/fs/cgroup");

std::string in_mib(std::size_t bytes);  // "98.5 MiB"

// kResourceExhausted with all numbers when the plan does not fit.
Status check_memory(const MemoryPlan& plan, std::optional<std::size_t> available, std::string_view model);

}  // namespace stoa::models
