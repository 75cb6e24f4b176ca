#include "models/formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
constexpr std::size_t kMaxDimensions = 8;

// A tensor's entry in the header, checked against itself; `begin` and `end` count from the start of the data.
struct Described {
  TensorView view;
  std::uint64_t begin = 0, end = 0;
};

Result<std::uint64_t> natural(const Json& value, std::string_view what) {
  if (const auto* number = value.if_int64(); number != nullptr && *number >= 0) return static_cast<std::uint64_t>(*number);
  return fail(ErrorCode::kDataLoss, "{} is {}, expected an integer from 0 to 2^63-1", what, dump_json(value).substr(0, 40));
}

Result<Described> describe(std::string_view name, const Json& value) {
  const auto* object = value.if_object();
  if (object == nullptr) return fail(ErrorCode::kDataLoss, "tensor '{}' is not described by an object", name);
  Described out;
  out.view.name = name;

  const Json* dtype = find(*object, "dtype");
  if (dtype == nullptr || !dtype->is_string()) return fail(ErrorCode::kDataLoss, "tensor '{}': dtype is missing", name);
  const std::string_view dtype_name = dtype->get_string();
  const auto table = dtype_table();
  const auto info = std::ranges::find_if(table, [&](const DTypeInfo& row) { return !row.safetensors.empty() && row.safetensors == dtype_name; });
  if (info == table.end()) return fail(ErrorCode::kUnsupported, "tensor '{}': dtype '{}' is not supported", name, dtype_name.substr(0, 40));
  out.view.dtype = info->dtype;

  const Json* shape = find(*object, "shape");
  if (shape == nullptr || !shape->is_array() || shape->get_array().size() > kMaxDimensions)
    return fail(ErrorCode::kDataLoss, "tensor '{}': shape is not an array of at most {} sizes", name, kMaxDimensions);
  std::uint64_t size = info->block_bytes;
  for (const auto& dimension : shape->get_array()) {
    STOA_TRY(length, natural(dimension, fmt::format("tensor '{}': shape", name)));
    // elements() multiplies in int64, so a zero must not hide an overflow of the others.
    if (__builtin_mul_overflow(size, std::max<std::uint64_t>(length, 1), &size) || size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return fail(ErrorCode::kDataLoss, "tensor '{}': dimension {} is impossible", name, length);
    out.view.shape.push_back(static_cast<std::int64_t>(length));
  }
  if (std::ranges::find(out.view.shape, 0) != out.view.shape.end()) size = 0;

  const Json* offsets = find(*object, "data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->get_array().size() != 2)
    return fail(ErrorCode::kDataLoss, "tensor '{}': data_offsets is not a pair", name);
  STOA_TRY(begin, natural(offsets->get_array()[0], fmt::format("tensor '{}': data_offsets[0]", name)));
  STOA_TRY(end, natural(offsets->get_array()[1], fmt::format("tensor '{}': data_offsets[1]", name)));
  if (end < begin || end - begin != size)
    return fail(ErrorCode::kDataLoss, "tensor '{}': data_offsets [{}, {}] do not hold the {} bytes of its shape", name, begin, end, size);
  out.begin = begin;
  out.end = end;
  return out;
}

// A parsed object keeps the last of equal names, so that a file could show one tensor to one reader and another to the next. `text`
// is valid JSON: its outermost names are the strings that a colon follows at depth 1.
Status check_names(std::string_view text, const JsonObject& header) {
  std::vector<std::string_view> names;
  std::string_view last;
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      const std::size_t begin = ++i;
      while (text[i] != '"') i += text[i] == '\\' ? 2 : 1;
      last = text.substr(begin, i - begin);
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']') {
      --depth;
    } else if (c == ':' && depth == 1) {
      names.push_back(last);
    }
  }
  if (names.size() == header.size()) return {};
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);  // none when the two are spelt with different escapes
  return fail(ErrorCode::kDataLoss, "tensor '{}' appears twice", twice == names.end() ? "?" : *twice);
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  STOA_TRY(mapped, infra::MappedFile::open(path));
  STOA_TRY(file, parse(mapped.bytes(), path.string()));
  file.file_ = std::move(mapped);
  return std::move(file);
}

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes, std::string name) {
  SafetensorsFile file;
  file.name_ = std::move(name);
  if (auto status = file.read(bytes); !status) return fail(std::move(status).error().in(file.name_));
  return file;
}

Status SafetensorsFile::read(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof length) return fail(ErrorCode::kDataLoss, "{} bytes are too few for a safetensors file", bytes.size());
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeaderBytes) return fail(ErrorCode::kTooLarge, "header length {} exceeds the limit of {}", length, kMaxHeaderBytes);
  if (length > bytes.size() - sizeof length) return fail(ErrorCode::kDataLoss, "header length {} exceeds the {} bytes of the file", length, bytes.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data() + sizeof length), length);
  const auto data = bytes.subspan(sizeof length + length);

  auto parsed = parse_json(text, {.max_bytes = kMaxHeaderBytes, .max_depth = 4});
  if (!parsed) return fail(error(ErrorCode::kDataLoss, "header: {}", parsed.error().message));
  const auto* header = parsed->if_object();
  if (header == nullptr) return fail(ErrorCode::kDataLoss, "the header is not an object");

  STOA_CHECK(check_names(text, *header));
  std::vector<Described> described;
  described.reserve(header->size());
  for (const auto& [key, value] : *header) {
    if (key == "__metadata__") {
      const auto* object = value.if_object();
      if (object == nullptr) return fail(ErrorCode::kDataLoss, "__metadata__ is not an object");
      for (const auto& [name, item] : *object) {
        if (!item.is_string()) return fail(ErrorCode::kDataLoss, "__metadata__ '{}' is not a string", std::string_view(name));
        metadata_.emplace(name, item.get_string());
      }
      continue;
    }
    STOA_TRY(tensor, describe(key, value));
    if (tensor.end > data.size())
      return fail(error(ErrorCode::kDataLoss, "tensor '{}': data_offsets end at {}, the file has {} bytes of data", std::string_view(key), tensor.end, data.size())
                      .with_hint("The file is truncated or damaged: fetch it again."));
    described.push_back(std::move(tensor));
  }

  std::ranges::sort(described, {}, [](const Described& tensor) { return std::pair(tensor.begin, tensor.end); });
  for (std::size_t i = 1; i < described.size(); ++i)
    if (described[i].begin < described[i - 1].end)
      return fail(ErrorCode::kDataLoss, "tensor '{}' at offset {} overlaps tensor '{}'", described[i].view.name, described[i].begin, described[i - 1].view.name);
  tensors_.reserve(described.size());
  for (auto& tensor : described) {
    tensor.view.data = data.subspan(tensor.begin, tensor.end - tensor.begin);
    tensors_.push_back(std::move(tensor.view));
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_.emplace(tensors_[i].name, i);
  return {};
}

const TensorView* SafetensorsFile::tensor(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

}  // namespace stoa::models
