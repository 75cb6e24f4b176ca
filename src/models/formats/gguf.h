// Reader of GGUF versions 2 and 3, little-endian (format: ggml's docs/gguf.md). Nothing of the file is trusted: every count, length, offset,
// type and product is checked before use, and an error names the file, the field and the value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "infra/files/mapped_file.h"
#include "models/formats/tensor.h"

namespace stoa::models {

enum class GgufType : std::uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };
std::string_view gguf_type_name(GgufType type);

// A metadata array in place: `count` elements of `type`; numbers are read from unaligned bytes on access.
// Strings are views into the file, listed once when the file is read. Nested arrays are skipped by the reader.
struct GgufArray {
  GgufType type = GgufType::kU8;
  std::size_t count = 0;
  const std::byte* raw = nullptr;             // the first element of a number or bool array
  std::span<const std::string_view> strings;  // of a string array

  std::int64_t int_at(std::size_t i) const;   // of any integer or bool type; i < count
  double float_at(std::size_t i) const;       // of any number type; i < count
};

// Immutable after reading; any thread may use it. Views live as long as the object (moving it keeps them valid).
class GgufFile {
 public:
  // Errors: those of infra::MappedFile::open; kUnsupported (version, byte order, tensor type); kDataLoss (truncated or contradictory).
  static Result<GgufFile> open(const std::filesystem::path& path);
  // Reads bytes that the caller keeps alive; `name` is what errors call the file.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, std::string name);

  const std::string& name() const { return name_; }
  std::uint32_t version() const { return version_; }
  std::size_t alignment() const { return alignment_; }

  // Typed metadata. kNotFound when the key is absent, kInvalidArgument when its type or range is another; both name file and key.
  // get_int takes every integer type that fits; get_float every number.
  bool has(std::string_view key) const { return entries_.contains(key); }
  Result<std::string_view> get_string(std::string_view key) const;
  Result<std::int64_t> get_int(std::string_view key) const;
  Result<double> get_float(std::string_view key) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<GgufArray> get_array(std::string_view key) const;
  Result<GgufArray> get_array(std::string_view key, GgufType type) const;

  // The same with a value for absence; a wrong type is still an error.
  Result<std::string_view> get_string_or(std::string_view key, std::string_view fallback) const;
  Result<std::int64_t> get_int_or(std::string_view key, std::int64_t fallback) const;
  Result<double> get_float_or(std::string_view key, double fallback) const;
  Result<bool> get_bool_or(std::string_view key, bool fallback) const;

  struct Entry {
    std::string_view key;
    GgufType type = GgufType::kU8;
    const std::byte* raw = nullptr;  // a number or bool
    std::string_view text;           // a string
    GgufArray array;
  };
  std::span<const Entry> metadata() const { return ordered_; }  // in file order

  std::span<const TensorView> tensors() const { return tensors_; }
  std::span<const std::byte> mapped() const { return file_.bytes(); }  // empty if parse() was given the bytes
  const TensorView* tensor(std::string_view name) const;  // nullptr when absent

 private:
  friend class GgufReader;
  GgufFile() = default;
  Result<const Entry*> find(std::string_view key) const;

  std::string name_;
  infra::MappedFile file_;
  std::uint32_t version_ = 0;
  std::size_t alignment_ = 32;
  std::vector<Entry> ordered_;
  std::unordered_map<std::string_view, std::size_t> entries_;
  std::vector<std::vector<std::string_view>> string_arrays_;
  std::vector<TensorView> tensors_;
  std::unordered_map<std::string_view, std::size_t> tensor_index_;
};

}  // namespace stoa::models
