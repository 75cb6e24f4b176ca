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
#include "models/engine/generator.h"

namespace stoa::models {

// An adapter in use. Who holds it may go on using it after it was unloaded.
struct ChosenAdapter {
  std::shared_ptr<const Adapter> weights;  // null: the model as it is
  std::uint64_t serial = 0;                // of this loading, never used twice: what was computed with another of that name is not mistaken for its
};

// One to load. Adapters belong to a project, which alone sees and uses them, or to the installation (an empty `owner`): then all do.
struct AdapterFile {
  std::string name, owner;
  std::filesystem::path path;
  std::string artifact;  // digest of its weights, "sha256:..."; told on to who asks
};

// Thread-safe.
class AdapterSet {
 public:
  static constexpr std::size_t kMost = 256;

  // `model` is what callers call the model.
  explicit AdapterSet(std::string model) : model_(std::move(model)) {}

  // Reads and checks the files on the caller's thread; requests go on meanwhile. Errors: kInvalidArgument (a name of other than 1 to 128
  // letters, digits and "._-"), kConflict (the owner has one of that name), kResourceExhausted (too many, or not enough memory), those of Adapter::load.
  Status load(const AdapterFile& file, const DecoderConfig& config, Backend& backend);
  // kNotFound names those that the owner has.
  Status unload(const std::string& name, std::string_view owner);
  bool has(std::string_view name, std::string_view owner) const;
  // Those that `project` sees. Its own comes before one of the installation's of the same name.
  std::vector<NamedAdapter> visible(std::string_view project) const;

  // What a request for `model` wants: "<model>:<adapter>" or an adapter's own name choose that; any other name none.
  // Error: kNotFound for an adapter that is not there, or not for `project`.
  Result<ChosenAdapter> choose(std::string_view model, std::string_view project) const;

 private:
  struct Entry {
    ChosenAdapter chosen;
    std::string artifact;
  };
  using Owned = std::map<std::string, Entry, std::less<>>;  // by name
  std::unexpected<Error> unknown(std::string_view name, std::string_view project) const;
  const Owned* of(std::string_view owner) const;

  const std::string model_;
  mutable std::mutex mutex_;
  std::map<std::string, Owned, std::less<>> adapters_;          // guarded; by owner
  std::size_t count_ = 0;                                       // guarded; of all owners
  std::uint64_t serials_ = 0;                                   // guarded
};

}  // namespace stoa::models
