// The models of this machine: one folder each below <home>/models, with a manifest that says what it holds and where it came from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace stoa::models {

struct StoredFile {
  std::string name, sha256, source;
  std::uint64_t bytes = 0;
};

struct StoredModel {
  std::string name, kind, about, license;
  std::vector<StoredFile> files;
  Micros pulled = 0;
  std::filesystem::path folder;

  std::uint64_t bytes() const;
  // The one GGUF file; kNotFound when there is none.
  Result<std::filesystem::path> weights() const;
};

// Stateless view of the folder; any number of processes may use it. A folder without a manifest (put there by hand) counts as a model
// of the kind its files tell.
class ModelStore {
 public:
  explicit ModelStore(const std::filesystem::path& home) : root_(home / "models") {}

  const std::filesystem::path& root() const { return root_; }
  Result<std::vector<StoredModel>> list() const;            // by name
  Result<StoredModel> find(const std::string& name) const;  // kNotFound with what to do
  // Reads every file and compares its digest. kDataLoss names the file.
  Status verify(const std::string& name) const;
  Status remove(const std::string& name) const;
  // Makes `model` visible: its files are in `model.folder` already.
  Status write_manifest(const StoredModel& model) const;

 private:
  Result<StoredModel> read(const std::filesystem::path& folder) const;

  const std::filesystem::path root_;
};

// "generator", "embedder" or "reranker", by the files in `folder`: a GGUF file's architecture and pooling, else config.json.
std::string kind_of(const std::filesystem::path& folder, const std::vector<StoredFile>& files);

// Digest of a file, 64 hexadecimal digits.
Result<std::string> file_sha256(const std::filesystem::path& path);

}  // namespace stoa::models
