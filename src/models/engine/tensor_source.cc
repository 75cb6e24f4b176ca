#include "models/engine/tensor_source.h"

#include <bit>
#include <cstring>

#include <fmt/ranges.h>

namespace stoa::models {
namespace {

float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t exponent = (half >> 10) & 31u, fraction = half & 1023u;
  if (exponent == 0) {  // zero or subnormal: fraction * 2^-24
    const float value = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -value : value;
  }
  const std::uint32_t wide = exponent == 31 ? 255u : exponent + 112u;
  return std::bit_cast<float>(sign | wide << 23 | fraction << 13);
}

}  // namespace

TensorSource::TensorSource(const GgufFile& file)
    : file_(file.name()), mapped_(file.mapped()), find_([&file](std::string_view name) { return file.tensor(name); }) {}
TensorSource::TensorSource(const SafetensorsFile& file)
    : file_(file.name()), mapped_(file.mapped()), find_([&file](std::string_view name) { return file.tensor(name); }) {}

Result<const TensorView*> TensorSource::need(const std::string& name, std::vector<std::int64_t> shape) const {
  const auto* tensor = find_(name);
  if (tensor == nullptr) {
    return fail(error(ErrorCode::kDataLoss, "{}: tensor {} is missing", file_, name)
                    .with_hint("The file is not a whole model of the architecture it names; fetch it again."));
  }
  if (tensor->shape != shape) {
    return fail(error(ErrorCode::kDataLoss, "{}: tensor {} has shape [{}], expected [{}]", file_, name, fmt::join(tensor->shape, ", "), fmt::join(shape, ", "))
                    .with_hint("The file's tensors contradict its metadata; fetch it again."));
  }
  return tensor;
}

Result<Weights> TensorSource::matrix(const std::string& name, int rows, int cols) const {
  STOA_TRY(tensor, need(name, {rows, cols}));
  auto weights = make_weights(tensor->dtype, rows, cols, tensor->data);
  if (!weights) return fail(std::move(weights.error()).in(fmt::format("{}: tensor {}", file_, name)));
  return weights;
}

Result<std::vector<Weights>> TensorSource::matrices(const std::string& name, int count, int rows, int cols) const {
  STOA_TRY(tensor, need(name, {count, rows, cols}));
  std::vector<Weights> all;
  const std::size_t size = tensor->data.size() / static_cast<std::size_t>(count);
  for (int i = 0; i < count; ++i) {
    auto weights = make_weights(tensor->dtype, rows, cols, tensor->data.subspan(static_cast<std::size_t>(i) * size, size));
    if (!weights) return fail(std::move(weights.error()).in(fmt::format("{}: tensor {}", file_, name)));
    all.push_back(*weights);
  }
  return all;
}

Weights rows_of(const Weights& w, int first, int count) {
  auto part = w;
  part.data += dtype_bytes(w.dtype, static_cast<std::size_t>(w.cols)) * static_cast<std::size_t>(first);
  part.rows = count;
  return part;
}

Result<std::vector<float>> TensorSource::vector(const std::string& name, int n) const {
  STOA_TRY(tensor, need(name, {n}));
  auto values = read_floats(*tensor);
  if (!values) return fail(std::move(values.error()).in(file_));
  return values;
}

Result<std::vector<float>> read_floats(const TensorView& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
  const auto* bytes = tensor.data.data();
  if (tensor.dtype == DType::kF32) {
    std::memcpy(values.data(), bytes, values.size() * sizeof(float));
  } else if (tensor.dtype == DType::kF16 || tensor.dtype == DType::kBF16) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      std::uint16_t raw = 0;
      std::memcpy(&raw, bytes + i * sizeof raw, sizeof raw);
      values[i] = tensor.dtype == DType::kF16 ? half_to_float(raw) : std::bit_cast<float>(static_cast<std::uint32_t>(raw) << 16);
    }
  } else {
    return fail(ErrorCode::kUnsupported, "tensor {} is of type {}; norms, biases and adapters are read from F32, F16 or BF16", tensor.name,
                dtype_info(tensor.dtype).name);
  }
  return values;
}

Result<std::vector<float>> TensorSource::optional_vector(const std::string& name, int n) const {
  if (!has(name)) return std::vector<float>{};
  return vector(name, n);
}

}  // namespace stoa::models
