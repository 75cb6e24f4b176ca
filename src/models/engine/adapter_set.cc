#include "models/engine/adapter_set.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "models/engine/memory_plan.h"

namespace stoa::models {
namespace {

constexpr std::size_t kMaxName = 128;

Status check_name(const std::string& name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  if (!name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, fits)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "an adapter's name has 1 to {} letters, digits, dots, dashes and underscores", kMaxName).with_param("name"));
}

}  // namespace

std::unexpected<Error> AdapterSet::unknown(std::string_view name) const {
  std::vector<std::string_view> known;
  for (const auto& [other, chosen] : adapters_) known.push_back(other);
  return fail(error(ErrorCode::kNotFound, "the model '{}' has no adapter '{}'", model_, name)
                  .with_hint(known.empty() ? "It has none at all; load one first." : fmt::format("There are: {}.", fmt::join(known, ", ")))
                  .with_param("model"));
}

Status AdapterSet::load(const std::string& name, const std::filesystem::path& path, const DecoderConfig& config, Backend& backend) {
  STOA_CHECK(check_name(name));
  const auto free = [&]() -> Status {
    if (adapters_.contains(name) || name == model_) return fail(ErrorCode::kConflict, "the name '{}' is taken; unload that adapter or choose another name", name);
    if (adapters_.size() >= kMost) return fail(ErrorCode::kResourceExhausted, "the model '{}' has {} adapters, which is the most; unload one", model_, kMost);
    return {};
  };
  {
    std::lock_guard lock(mutex_);
    STOA_CHECK(free());
  }
  std::error_code ignored;
  const auto file = std::filesystem::is_directory(path, ignored) ? path / "adapter_model.safetensors" : path;
  const auto size = std::filesystem::file_size(file, ignored);
  // Its bytes, and twice those: half precision becomes single. A file that is not there is told by who opens it.
  if (!ignored) STOA_CHECK(check_memory({.weights = static_cast<std::size_t>(size) * 3}, available_memory(), name));
  STOA_TRY(weights, Adapter::load(path, config, backend));
  std::lock_guard lock(mutex_);
  STOA_CHECK(free());
  adapters_[name] = {.weights = std::move(weights), .serial = ++serials_};
  return {};
}

Status AdapterSet::unload(const std::string& name) {
  std::lock_guard lock(mutex_);
  if (adapters_.erase(name) == 0) return unknown(name);
  return {};
}

std::vector<std::string> AdapterSet::names() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const auto& [name, chosen] : adapters_) all.push_back(name);
  return all;
}

Result<ChosenAdapter> AdapterSet::choose(std::string_view model) const {
  std::lock_guard lock(mutex_);
  const bool qualified = model.size() > model_.size() && model.starts_with(model_) && model[model_.size()] == ':';
  const auto name = qualified ? model.substr(model_.size() + 1) : model;
  const auto found = adapters_.find(name);
  if (found != adapters_.end()) return found->second;
  if (qualified) return unknown(name);
  return ChosenAdapter{};
}

}  // namespace stoa::models
