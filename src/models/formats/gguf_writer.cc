#include "models/formats/gguf_writer.h"

#include <cstring>

#include "models/formats/gguf_reader.h"

namespace stoa::models {
namespace {

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_string(std::string& out, std::string_view text) {
  put<std::uint64_t>(out, text.size());
  out.append(text);
}
constexpr std::size_t padded(std::size_t bytes) { return (bytes + GgufWriter::kAlignment - 1) / GgufWriter::kAlignment * GgufWriter::kAlignment; }
void pad(std::string& out) { out.resize(padded(out.size()), '\0'); }
void put_array_head(std::string& out, GgufType type, std::size_t count) {
  put(out, static_cast<std::uint32_t>(type));
  put<std::uint64_t>(out, count);
}

}  // namespace

void GgufWriter::begin(std::string_view key, GgufType type) {
  put_string(metadata_, key);
  put(metadata_, static_cast<std::uint32_t>(type));
  ++entries_;
}
void GgufWriter::add_string(std::string_view key, std::string_view value) {
  begin(key, GgufType::kString);
  put_string(metadata_, value);
}
void GgufWriter::add_u32(std::string_view key, std::uint32_t value) {
  begin(key, GgufType::kU32);
  put(metadata_, value);
}
void GgufWriter::add_i64(std::string_view key, std::int64_t value) {
  begin(key, GgufType::kI64);
  put(metadata_, value);
}
void GgufWriter::add_f32(std::string_view key, float value) {
  begin(key, GgufType::kF32);
  put(metadata_, value);
}
void GgufWriter::add_bool(std::string_view key, bool value) {
  begin(key, GgufType::kBool);
  put<std::uint8_t>(metadata_, value ? 1 : 0);
}
void GgufWriter::add_strings(std::string_view key, std::span<const std::string> values) {
  begin(key, GgufType::kArray);
  put_array_head(metadata_, GgufType::kString, values.size());
  for (const auto& value : values) put_string(metadata_, value);
}
void GgufWriter::add_i32s(std::string_view key, std::span<const std::int32_t> values) {
  begin(key, GgufType::kArray);
  put_array_head(metadata_, GgufType::kI32, values.size());
  for (const auto value : values) put(metadata_, value);
}
void GgufWriter::add_f32s(std::string_view key, std::span<const float> values) {
  begin(key, GgufType::kArray);
  put_array_head(metadata_, GgufType::kF32, values.size());
  for (const auto value : values) put(metadata_, value);
}

Status GgufWriter::add_entry(const GgufFile::Entry& entry) {
  const auto raw = [](const std::byte* bytes, std::size_t count) { return std::string_view(reinterpret_cast<const char*>(bytes), count); };
  if (entry.type == GgufType::kArray && entry.array.type == GgufType::kArray)
    return fail(ErrorCode::kUnsupported, "the entry {} is an array of arrays", entry.key);
  begin(entry.key, entry.type);
  if (entry.type == GgufType::kString) {
    put_string(metadata_, entry.text);
  } else if (entry.type != GgufType::kArray) {
    metadata_ += raw(entry.raw, gguf_type_bytes(entry.type));
  } else {
    put_array_head(metadata_, entry.array.type, entry.array.count);
    if (entry.array.type == GgufType::kString) {
      for (const auto value : entry.array.strings) put_string(metadata_, value);
    } else {
      metadata_ += raw(entry.array.raw, entry.array.count * gguf_type_bytes(entry.array.type));
    }
  }
  return {};
}

void GgufWriter::declare_tensor(std::string_view name, DType dtype, std::span<const std::int64_t> shape, std::size_t bytes) {
  data_bytes_ = padded(data_bytes_);
  put_string(infos_, name);
  put(infos_, static_cast<std::uint32_t>(shape.size()));
  for (std::size_t i = shape.size(); i-- > 0;) put<std::uint64_t>(infos_, static_cast<std::uint64_t>(shape[i]));
  put(infos_, static_cast<std::uint32_t>(dtype_info(dtype).gguf_id));
  put<std::uint64_t>(infos_, data_bytes_);
  data_bytes_ += bytes;
  ++tensor_count_;
}

void GgufWriter::add_tensor(std::string_view name, DType dtype, std::span<const std::int64_t> shape, std::span<const std::byte> data) {
  declare_tensor(name, dtype, shape, data.size());
  pad(data_);
  data_.append(reinterpret_cast<const char*>(data.data()), data.size());
}

std::string GgufWriter::head() const {
  std::string out = "GGUF";
  put<std::uint32_t>(out, 3);
  put(out, tensor_count_);
  put(out, entries_);
  out += metadata_;
  out += infos_;
  pad(out);
  return out;
}

std::vector<std::byte> GgufWriter::finish() const {
  std::string out = head();
  out += data_;
  pad(out);
  std::vector<std::byte> bytes(out.size());
  std::memcpy(bytes.data(), out.data(), out.size());
  return bytes;
}

}  // namespace stoa::models
