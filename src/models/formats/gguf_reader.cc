#include "models/formats/gguf_reader.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

namespace stoa::models {

static_assert(std::endian::native == std::endian::little, "GGUF numbers are read as they lie");

std::size_t gguf_type_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool: return 1;
    case GgufType::kU16:
    case GgufType::kI16: return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32: return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64: return 8;
    case GgufType::kString:
    case GgufType::kArray: return 0;
  }
  return 0;
}

std::unexpected<Error> GgufReader::truncated(std::string_view what, std::uint64_t need) const {
  return fail(error(ErrorCode::kDataLoss, "{}: {}: needs {} bytes at offset {}, the file has {} left", file_.name_, what, need, at_, left())
                  .with_hint("The file is truncated or damaged: fetch it again."));
}

Result<std::string_view> GgufReader::string(std::string_view what, std::size_t max_bytes) {
  STOA_TRY(length, number<std::uint64_t>(what));
  if (length > left()) return truncated(what, length);
  if (length > max_bytes) return fail(ErrorCode::kDataLoss, "{}: {}: length {} exceeds the limit of {}", file_.name_, what, length, max_bytes);
  const std::string_view text(reinterpret_cast<const char*>(bytes_.data() + at_), length);
  at_ += length;
  return text;
}

Result<GgufType> GgufReader::type(std::string_view key) {
  STOA_TRY(code, number<std::uint32_t>(key));
  if (code > static_cast<std::uint32_t>(GgufType::kF64)) return fail(ErrorCode::kDataLoss, "{}: {}: unknown value type {}", file_.name_, key, code);
  return static_cast<GgufType>(code);
}

Status GgufReader::read() {
  STOA_CHECK(header());
  STOA_CHECK(entries());
  STOA_CHECK(alignment());
  STOA_CHECK(tensors());
  return place_tensors();
}

Status GgufReader::header() {
  STOA_TRY(magic, number<std::uint32_t>("magic"));
  if (magic != 0x46554747) return fail(ErrorCode::kDataLoss, "{}: magic is {:#010x}, not \"GGUF\": not a GGUF file", file_.name_, magic);
  STOA_TRY(version, number<std::uint32_t>("version"));
  if ((version & 0xFFFF) == 0 && version != 0)
    return fail(ErrorCode::kUnsupported, "{}: version {:#010x}: big-endian GGUF is not supported", file_.name_, version);
  if (version < 2 || version > 3) return fail(ErrorCode::kUnsupported, "{}: version {}: only GGUF versions 2 and 3 are supported", file_.name_, version);
  file_.version_ = version;
  STOA_TRY(tensor_count, number<std::uint64_t>("tensor count"));
  STOA_TRY(entry_count, number<std::uint64_t>("metadata count"));
  // The smallest entry and the smallest tensor description bound what the file can hold before anything is reserved.
  constexpr std::uint64_t kMinEntry = 8 + 4 + 1, kMinTensor = 8 + 4 + 4 + 8;
  if (entry_count > left() / kMinEntry) return fail(ErrorCode::kDataLoss, "{}: metadata count {} cannot fit into {} bytes", file_.name_, entry_count, left());
  if (tensor_count > left() / kMinTensor) return fail(ErrorCode::kDataLoss, "{}: tensor count {} cannot fit into {} bytes", file_.name_, tensor_count, left());
  tensor_count_ = tensor_count;
  entry_count_ = entry_count;
  return {};
}

Status GgufReader::entries() {
  for (std::uint64_t i = 0; i < entry_count_; ++i) STOA_CHECK(entry(i));
  return {};
}

Status GgufReader::entry(std::uint64_t index) {
  STOA_TRY(key, string(fmt::format("metadata key {}", index), kMaxKeyBytes));
  if (key.empty()) return fail(ErrorCode::kDataLoss, "{}: metadata key {} is empty", file_.name_, index);
  GgufFile::Entry entry;
  entry.key = key;
  STOA_TRY(value_type, type(key));
  entry.type = value_type;
  if (value_type == GgufType::kString) {
    STOA_TRY(text, string(key, std::numeric_limits<std::size_t>::max()));
    entry.text = text;
  } else if (value_type == GgufType::kArray) {
    STOA_TRY(values, array(key, 0));
    entry.array = values;
  } else {
    const std::size_t size = gguf_type_bytes(value_type);
    if (left() < size) return truncated(key, size);
    entry.raw = bytes_.data() + at_;
    at_ += size;
  }
  if (!file_.entries_.emplace(key, file_.ordered_.size()).second) return fail(ErrorCode::kDataLoss, "{}: metadata key '{}' appears twice", file_.name_, key);
  file_.ordered_.push_back(entry);
  return {};
}

Result<GgufArray> GgufReader::array(std::string_view key, int depth) {
  if (depth >= kMaxArrayDepth) return fail(ErrorCode::kDataLoss, "{}: {}: arrays nested deeper than {}", file_.name_, key, kMaxArrayDepth);
  GgufArray out;
  STOA_TRY(element, type(key));
  STOA_TRY(count, number<std::uint64_t>(key));
  out.type = element;
  const std::size_t size = element == GgufType::kString ? 8 : element == GgufType::kArray ? 12 : gguf_type_bytes(element);
  if (count > left() / size)
    return fail(ErrorCode::kDataLoss, "{}: {}: {} elements of type {} cannot fit into the {} bytes left", file_.name_, key, count, gguf_type_name(element), left());
  out.count = count;
  if (element == GgufType::kArray) {
    for (std::uint64_t i = 0; i < count; ++i) STOA_CHECK(array(key, depth + 1));
  } else if (element == GgufType::kString) {
    std::vector<std::string_view> strings;
    strings.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      STOA_TRY(text, string(key, std::numeric_limits<std::size_t>::max()));
      strings.push_back(text);
    }
    file_.string_arrays_.push_back(std::move(strings));
    out.strings = file_.string_arrays_.back();
  } else {
    out.raw = bytes_.data() + at_;
    at_ += count * size;
  }
  return out;
}

Status GgufReader::alignment() {
  if (!file_.has("general.alignment")) return {};
  STOA_TRY(value, file_.get_int("general.alignment"));
  if (value <= 0 || static_cast<std::uint64_t>(value) > kMaxAlignment || !std::has_single_bit(static_cast<std::uint64_t>(value)))
    return fail(ErrorCode::kDataLoss, "{}: general.alignment: {} is not a power of two up to {}", file_.name_, value, kMaxAlignment);
  file_.alignment_ = static_cast<std::size_t>(value);
  return {};
}

Status GgufReader::tensors() {
  file_.tensors_.reserve(tensor_count_);
  for (std::uint64_t i = 0; i < tensor_count_; ++i) STOA_CHECK(tensor(i));
  // Only now do the names stay where they are.
  for (std::size_t i = 0; i < file_.tensors_.size(); ++i)
    if (!file_.tensor_index_.emplace(file_.tensors_[i].name, i).second)
      return fail(ErrorCode::kDataLoss, "{}: tensor '{}' appears twice", file_.name_, file_.tensors_[i].name);
  return {};
}

Status GgufReader::tensor(std::uint64_t index) {
  STOA_TRY(name, string(fmt::format("name of tensor {}", index), kMaxNameBytes));
  STOA_TRY(dimensions, number<std::uint32_t>(name));
  if (dimensions > kMaxDimensions) return fail(ErrorCode::kDataLoss, "{}: tensor '{}': {} dimensions, at most {} are possible", file_.name_, name, dimensions, kMaxDimensions);
  TensorView view;
  view.name = name;
  std::uint64_t elements = 1;
  for (std::uint32_t d = 0; d < dimensions; ++d) {
    STOA_TRY(size, number<std::uint64_t>(name));
    if (size == 0 || size > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) || __builtin_mul_overflow(elements, size, &elements) ||
        elements > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
      return fail(ErrorCode::kDataLoss, "{}: tensor '{}': dimension {} has the impossible size {}", file_.name_, name, d, size);
    view.shape.push_back(static_cast<std::int64_t>(size));
  }
  STOA_TRY(type_id, number<std::uint32_t>(name));
  const auto table = dtype_table();
  const auto info = std::ranges::find_if(table, [&](const DTypeInfo& row) { return row.gguf_id >= 0 && static_cast<std::uint32_t>(row.gguf_id) == type_id; });
  if (info == table.end())
    return fail(error(ErrorCode::kUnsupported, "{}: tensor '{}': element type {} is not supported", file_.name_, name, type_id)
                    .with_hint("Use a file in F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K."));
  view.dtype = info->dtype;
  const std::uint64_t row = view.shape.empty() ? 1 : static_cast<std::uint64_t>(view.shape.front());
  if (row % info->block_values != 0)
    return fail(ErrorCode::kDataLoss, "{}: tensor '{}': rows of {} values are not whole blocks of {} ({})", file_.name_, name, row, info->block_values, info->name);
  std::uint64_t size = 0;
  if (__builtin_mul_overflow(elements / info->block_values, std::uint64_t{info->block_bytes}, &size))
    return fail(ErrorCode::kDataLoss, "{}: tensor '{}': {} elements exceed the address space", file_.name_, name, elements);
  std::ranges::reverse(view.shape);
  STOA_TRY(offset, number<std::uint64_t>(name));
  if (offset % file_.alignment_ != 0)
    return fail(ErrorCode::kDataLoss, "{}: tensor '{}': offset {} is not a multiple of the alignment {}", file_.name_, name, offset, file_.alignment_);
  offsets_.push_back(offset);
  sizes_.push_back(size);
  file_.tensors_.push_back(std::move(view));
  return {};
}

Status GgufReader::place_tensors() {
  if (file_.tensors_.empty()) return {};
  const std::size_t start = (at_ + file_.alignment_ - 1) / file_.alignment_ * file_.alignment_;
  const std::uint64_t available = start <= bytes_.size() ? bytes_.size() - start : 0;
  std::vector<std::size_t> order(file_.tensors_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return offsets_[i]; });
  std::uint64_t used = 0;
  std::string_view previous;
  for (const std::size_t i : order) {
    auto& tensor = file_.tensors_[i];
    if (offsets_[i] > available || sizes_[i] > available - offsets_[i])
      return fail(error(ErrorCode::kDataLoss, "{}: tensor '{}': {} bytes at offset {} end beyond the {} bytes of tensor data", file_.name_, tensor.name, sizes_[i], offsets_[i], available)
                      .with_hint("The file is truncated or damaged: fetch it again."));
    if (offsets_[i] < used) return fail(ErrorCode::kDataLoss, "{}: tensor '{}' at offset {} overlaps tensor '{}'", file_.name_, tensor.name, offsets_[i], previous);
    tensor.data = bytes_.subspan(start + offsets_[i], sizes_[i]);
    used = offsets_[i] + sizes_[i];
    previous = tensor.name;
  }
  return {};
}

}  // namespace stoa::models
