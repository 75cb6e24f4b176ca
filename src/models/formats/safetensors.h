// Reader of safetensors files (format: huggingface/safetensors README): 8 bytes of header length, a JSON header, then the data.
// Nothing of the file is trusted; errors name the file, the tensor and the value.
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infra/files/mapped_file.h"
#include "models/formats/tensor.h"

namespace stoa::models {

// Immutable after reading; any thread may use it. Views live as long as the object (moving it keeps them valid).
class SafetensorsFile {
 public:
  // Errors: those of infra::MappedFile::open; kUnsupported (dtype); kTooLarge (header); kDataLoss (truncated or contradictory).
  static Result<SafetensorsFile> open(const std::filesystem::path& path);
  // Reads bytes that the caller keeps alive; `name` is what errors call the file.
  static Result<SafetensorsFile> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // the header's __metadata__
  std::span<const TensorView> tensors() const { return tensors_; }                  // in order of their data
  const TensorView* tensor(std::string_view name) const;                            // nullptr when absent
  std::span<const std::byte> mapped() const { return file_.bytes(); }               // empty if parse() was given the bytes

 private:
  SafetensorsFile() = default;
  Status read(std::span<const std::byte> bytes);

  std::string name_;
  infra::MappedFile file_;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorView> tensors_;
  std::unordered_map<std::string_view, std::size_t> index_;
};

}  // namespace stoa::models
