#include "models/formats/gguf.h"

#include <cstring>
#include <limits>
#include <optional>

#include "models/formats/gguf_reader.h"

namespace stoa::models {
namespace {

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Nothing when the type is no integer or the value does not fit.
std::optional<std::int64_t> integer(GgufType type, const std::byte* raw) {
  switch (type) {
    case GgufType::kU8: return load<std::uint8_t>(raw);
    case GgufType::kBool: return load<std::uint8_t>(raw) != 0;
    case GgufType::kI8: return load<std::int8_t>(raw);
    case GgufType::kU16: return load<std::uint16_t>(raw);
    case GgufType::kI16: return load<std::int16_t>(raw);
    case GgufType::kU32: return load<std::uint32_t>(raw);
    case GgufType::kI32: return load<std::int32_t>(raw);
    case GgufType::kI64: return load<std::int64_t>(raw);
    case GgufType::kU64: {
      const auto value = load<std::uint64_t>(raw);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    default: return std::nullopt;
  }
}

std::optional<double> real(GgufType type, const std::byte* raw) {
  if (type == GgufType::kF32) return load<float>(raw);
  if (type == GgufType::kF64) return load<double>(raw);
  if (const auto value = integer(type, raw)) return static_cast<double>(*value);
  return std::nullopt;
}

}  // namespace

std::string_view gguf_type_name(GgufType type) {
  constexpr std::string_view kNames[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64"};
  return kNames[static_cast<std::size_t>(type)];
}

std::int64_t GgufArray::int_at(std::size_t i) const {
  return raw == nullptr ? 0 : integer(type, raw + i * gguf_type_bytes(type)).value_or(0);
}
double GgufArray::float_at(std::size_t i) const { return raw == nullptr ? 0 : real(type, raw + i * gguf_type_bytes(type)).value_or(0); }

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  STOA_TRY(mapped, infra::MappedFile::open(path));
  const auto bytes = mapped.bytes();
  STOA_TRY(file, parse(bytes, path.string()));
  file.file_ = std::move(mapped);
  return std::move(file);
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  GgufFile file;
  file.name_ = std::move(name);
  STOA_CHECK(GgufReader(file, bytes).read());
  return file;
}

Result<const GgufFile::Entry*> GgufFile::find(std::string_view key) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return fail(ErrorCode::kNotFound, "{}: metadata key '{}' is missing", name_, key);
  return &ordered_[found->second];
}

namespace {
std::unexpected<Error> wrong_type(const std::string& file, const GgufFile::Entry& entry, std::string_view expected) {
  return fail(ErrorCode::kInvalidArgument, "{}: metadata key '{}' has type {}, expected {}", file, entry.key, gguf_type_name(entry.type), expected);
}
}  // namespace

Result<std::string_view> GgufFile::get_string(std::string_view key) const {
  STOA_TRY(entry, find(key));
  if (entry->type != GgufType::kString) return wrong_type(name_, *entry, "string");
  return entry->text;
}

Result<std::int64_t> GgufFile::get_int(std::string_view key) const {
  STOA_TRY(entry, find(key));
  if (entry->raw == nullptr || entry->type == GgufType::kBool) return wrong_type(name_, *entry, "an integer");
  const auto value = integer(entry->type, entry->raw);
  if (!value) return wrong_type(name_, *entry, "an integer below 2^63");
  return *value;
}

Result<double> GgufFile::get_float(std::string_view key) const {
  STOA_TRY(entry, find(key));
  if (entry->raw == nullptr || entry->type == GgufType::kBool) return wrong_type(name_, *entry, "a number");
  const auto value = real(entry->type, entry->raw);
  if (!value) return wrong_type(name_, *entry, "a number");
  return *value;
}

Result<bool> GgufFile::get_bool(std::string_view key) const {
  STOA_TRY(entry, find(key));
  if (entry->type != GgufType::kBool) return wrong_type(name_, *entry, "bool");
  return load<std::uint8_t>(entry->raw) != 0;
}

Result<GgufArray> GgufFile::get_array(std::string_view key) const {
  STOA_TRY(entry, find(key));
  if (entry->type != GgufType::kArray) return wrong_type(name_, *entry, "array");
  return entry->array;
}

Result<GgufArray> GgufFile::get_array(std::string_view key, GgufType type) const {
  STOA_TRY(array, get_array(key));
  if (array.type != type)
    return fail(ErrorCode::kInvalidArgument, "{}: metadata key '{}' is an array of {}, expected {}", name_, key, gguf_type_name(array.type), gguf_type_name(type));
  return array;
}

Result<std::string_view> GgufFile::get_string_or(std::string_view key, std::string_view fallback) const { return has(key) ? get_string(key) : fallback; }
Result<std::int64_t> GgufFile::get_int_or(std::string_view key, std::int64_t fallback) const { return has(key) ? get_int(key) : fallback; }
Result<double> GgufFile::get_float_or(std::string_view key, double fallback) const { return has(key) ? get_float(key) : fallback; }
Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const { return has(key) ? get_bool(key) : fallback; }

const TensorView* GgufFile::tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace stoa::models
