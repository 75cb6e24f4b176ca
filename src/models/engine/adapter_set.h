// The adapters of one model, loaded and unloaded while it serves.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/engine/adapter.h"

namespace stoa::models {

// An adapter in use. Who holds it may go on using it after it was unloaded.
struct ChosenAdapter {
  std::shared_ptr<const Adapter> weights;  // null: the model as it is
  std::uint64_t serial = 0;                // of this loading, never used twice: what was computed with another of that name is not mistaken for its
};

// Thread-safe.
class AdapterSet {
 public:
  static constexpr std::size_t kMost = 256;

  // `model` is what callers call the model.
  explicit AdapterSet(std::string model) : model_(std::move(model)) {}

  // Reads and checks the files on the caller's thread; requests go on meanwhile. Errors: kInvalidArgument (a name of other than 1 to 128
  // letters, digits and "._-"), kConflict (the name is taken), kResourceExhausted (too many, or not enough memory), those of Adapter::load.
  Status load(const std::string& name, const std::filesystem::path& path, const DecoderConfig& config, Backend& backend);
  // kNotFound names those there are.
  Status unload(const std::string& name);
  std::vector<std::string> names() const;

  // What a request for `model` wants: "<model>:<adapter>" or an adapter's own name choose that; any other name none.
  // Error: kNotFound for an adapter that is not there.
  Result<ChosenAdapter> choose(std::string_view model) const;

 private:
  std::unexpected<Error> unknown(std::string_view name) const;

  const std::string model_;
  mutable std::mutex mutex_;
  std::map<std::string, ChosenAdapter, std::less<>> adapters_;  // guarded
  std::uint64_t serials_ = 0;                                   // guarded
};

}  // namespace stoa::models
