#include "models/engine/adapter_set.h"

#include <algorithm>
#include <set>

#include <fmt/ranges.h>

#include "models/engine/memory_plan.h"

namespace stoa::models {
namespace {

constexpr std::size_t kMaxName = 128;
constexpr std::string_view kInstallation;  // the owner of what all may use

Status check_name(const std::string& name) {
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-'; };
  if (!name.empty() && name.size() <= kMaxName && std::ranges::all_of(name, fits)) return {};
  return fail(error(ErrorCode::kInvalidArgument, "an adapter's name has 1 to {} letters, digits, dots, dashes and underscores", kMaxName).with_param("name"));
}

}  // namespace

const AdapterSet::Owned* AdapterSet::of(std::string_view owner) const {
  const auto found = adapters_.find(owner);
  return found == adapters_.end() ? nullptr : &found->second;
}

std::unexpected<Error> AdapterSet::unknown(std::string_view name, std::string_view project) const {
  std::set<std::string_view> known;
  for (const std::string_view owner : {project, kInstallation})
    if (const Owned* owned = of(owner))
      for (const auto& [other, entry] : *owned) known.insert(other);
  return fail(error(ErrorCode::kNotFound, "the model '{}' has no adapter '{}'", model_, name)
                  .with_hint(known.empty() ? "It has none at all; load one first." : fmt::format("There are: {}.", fmt::join(known, ", ")))
                  .with_param("model"));
}

Status AdapterSet::load(const AdapterFile& wanted, const DecoderConfig& config, Backend& backend) {
  const std::string& name = wanted.name;
  STOA_CHECK(check_name(name));
  const auto free = [&]() -> Status {
    const Owned* owned = of(wanted.owner);
    if ((owned != nullptr && owned->contains(name)) || name == model_)
      return fail(ErrorCode::kConflict, "the name '{}' is taken; unload that adapter or choose another name", name);
    if (count_ >= kMost) return fail(ErrorCode::kResourceExhausted, "the model '{}' has {} adapters, which is the most; unload one", model_, kMost);
    return {};
  };
  {
    std::lock_guard lock(mutex_);
    STOA_CHECK(free());
  }
  std::error_code ignored;
  const auto file = std::filesystem::is_directory(wanted.path, ignored) ? wanted.path / "adapter_model.safetensors" : wanted.path;
  const auto size = std::filesystem::file_size(file, ignored);
  // Its bytes, and twice those: half precision becomes single. A file that is not there is told by who opens it.
  if (!ignored) STOA_CHECK(check_memory({.weights = static_cast<std::size_t>(size) * 3}, available_memory(), name));
  STOA_TRY(weights, Adapter::load(wanted.path, config, backend));
  std::lock_guard lock(mutex_);
  STOA_CHECK(free());
  adapters_[wanted.owner][name] = {.chosen = {.weights = std::move(weights), .serial = ++serials_}, .artifact = wanted.artifact};
  ++count_;
  return {};
}

Status AdapterSet::unload(const std::string& name, std::string_view owner) {
  std::lock_guard lock(mutex_);
  const auto owned = adapters_.find(owner);
  if (owned == adapters_.end() || owned->second.erase(name) == 0) return unknown(name, owner);
  --count_;
  return {};
}

bool AdapterSet::has(std::string_view name, std::string_view owner) const {
  std::lock_guard lock(mutex_);
  const Owned* owned = of(owner);
  return owned != nullptr && owned->contains(name);
}

std::vector<NamedAdapter> AdapterSet::visible(std::string_view project) const {
  std::lock_guard lock(mutex_);
  std::map<std::string_view, const Entry*> found;
  for (const std::string_view owner : {project, kInstallation})
    if (const Owned* owned = of(owner))
      for (const auto& [name, entry] : *owned) found.try_emplace(name, &entry);
  std::vector<NamedAdapter> all;
  for (const auto& [name, entry] : found) all.push_back({std::string(name), entry->artifact});
  return all;
}

Result<ChosenAdapter> AdapterSet::choose(std::string_view model, std::string_view project) const {
  std::lock_guard lock(mutex_);
  const bool qualified = model.size() > model_.size() && model.starts_with(model_) && model[model_.size()] == ':';
  const auto name = qualified ? model.substr(model_.size() + 1) : model;
  for (const std::string_view owner : {project, kInstallation})
    if (const Owned* owned = of(owner))
      if (const auto found = owned->find(name); found != owned->end()) return found->second.chosen;
  if (qualified) return unknown(name, project);
  return ChosenAdapter{};
}

}  // namespace stoa::models
