// Writer of GGUF version 3: whole files in memory, or the head of a file whose tensor data is then streamed. For exporting models and for
// making test files, lying ones included.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/formats/dtype.h"
#include "models/formats/gguf.h"

namespace stoa::models {

// Collect entries and tensors in any order, then finish(). Keys and tensor names are written as given: the caller keeps them unique.
class GgufWriter {
 public:
  void add_string(std::string_view key, std::string_view value);
  void add_u32(std::string_view key, std::uint32_t value);
  void add_i64(std::string_view key, std::int64_t value);
  void add_f32(std::string_view key, float value);
  void add_bool(std::string_view key, bool value);
  void add_strings(std::string_view key, std::span<const std::string> values);
  void add_i32s(std::string_view key, std::span<const std::int32_t> values);
  void add_f32s(std::string_view key, std::span<const float> values);
  // An entry as another file has it. kUnsupported for arrays of arrays, which the reader does not keep.
  Status add_entry(const GgufFile::Entry& entry);

  // `shape` is row-major as in TensorView; `data` is copied and is dtype_bytes(dtype, elements) long.
  void add_tensor(std::string_view name, DType dtype, std::span<const std::int64_t> shape, std::span<const std::byte> data);

  // The whole file, tensor data aligned to 32 bytes.
  std::vector<std::byte> finish() const;

  // To stream a large file instead: declare every tensor, write head(), then each tensor's data in that order, padded to kAlignment.
  static constexpr std::size_t kAlignment = 32;
  void declare_tensor(std::string_view name, DType dtype, std::span<const std::int64_t> shape, std::size_t bytes);
  std::string head() const;

 private:
  void begin(std::string_view key, GgufType type);

  std::uint64_t entries_ = 0;
  std::uint64_t tensor_count_ = 0;
  std::string metadata_;
  std::string infos_;
  std::string data_;             // of tensors added, not of those declared
  std::size_t data_bytes_ = 0;   // of both
};

}  // namespace stoa::models
