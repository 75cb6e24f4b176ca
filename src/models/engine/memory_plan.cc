#include "models/engine/memory_plan.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

namespace stoa::models {
namespace {

// The number behind `key` in a file of lines "key number".
std::optional<std::size_t> number_of(const std::filesystem::path& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const auto begin = line.find_first_not_of(' ', key.size());
    std::size_t number = 0;
    if (begin == std::string::npos || std::from_chars(line.data() + begin, line.data() + line.size(), number).ec != std::errc()) return std::nullopt;
    return number;
  }
  return std::nullopt;
}

// What one control group leaves; its files in the page cache can be dropped.
std::optional<std::size_t> left_in_group(const std::filesystem::path& group) {
  const auto limit = number_of(group / "memory.max", ""), used = number_of(group / "memory.current", "");
  if (!limit || !used) return std::nullopt;
  const std::size_t files = number_of(group / "memory.stat", "file ").value_or(0);
  const std::size_t held = *used - std::min(*used, files);
  return *limit - std::min(*limit, held);
}

}  // namespace

std::string in_mib(std::size_t bytes) { return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20)); }

std::optional<std::size_t> available_memory(const std::filesystem::path& proc, const std::filesystem::path& groups) {
  std::optional<std::size_t> available;
  if (const auto kib = number_of(proc / "meminfo", "MemAvailable:")) available = *kib * 1024;
  // "0::/path of the group"
  std::ifstream in(proc / "self" / "cgroup");
  std::string line;
  while (std::getline(in, line) && !line.starts_with("0::")) {
  }
  auto group = groups;
  const auto look = [&] {
    if (const auto left = left_in_group(group)) available = std::min(available.value_or(*left), *left);
  };
  look();
  if (!line.starts_with("0::/")) return available;
  for (const auto& part : std::filesystem::path(line.substr(4))) {
    if (part.empty() || part == "..") break;
    group /= part;
    look();
  }
  return available;
}

Status check_memory(const MemoryPlan& plan, std::optional<std::size_t> available, std::string_view model) {
  if (!available || plan.total() <= *available) return {};
  return fail(error(ErrorCode::kResourceExhausted, "{} needs {} (weights {}, keys and values {}, activations {}), but {} are available", model,
                    in_mib(plan.total()), in_mib(plan.weights), in_mib(plan.keys_and_values), in_mib(plan.activations), in_mib(*available))
                  .with_hint("Give the engine less KV memory (engine.kv_bytes), choose a smaller or more strongly quantised model, or free memory."));
}

}  // namespace stoa::models
