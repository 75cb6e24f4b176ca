#include "models/compute/weights.h"

#include <algorithm>

namespace stoa::models {

bool can_compute(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
    case DType::kQ6_K: return true;
    default: return false;
  }
}

Result<Weights> make_weights(DType dtype, std::int64_t rows, std::int64_t cols, std::span<const std::byte> bytes) {
  const DTypeInfo& info = dtype_info(dtype);
  if (!can_compute(dtype)) {
    return fail(error(ErrorCode::kUnsupported, "weights of type {} cannot be computed with", info.name)
                    .with_hint("convert the model to F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K"));
  }
  constexpr std::int64_t kLargest = 1 << 26;
  if (rows <= 0 || cols <= 0 || rows > kLargest || cols > kLargest) {
    return fail(ErrorCode::kInvalidArgument, "a weight matrix of {} x {} is not usable: each side must be 1 to {}", rows, cols, kLargest);
  }
  const int multiple = std::max<int>(info.block_values, 16);
  if (cols % multiple != 0) {
    return fail(ErrorCode::kUnsupported, "a {} matrix with {} columns: the number must be a multiple of {}", info.name, cols, multiple);
  }
  const std::size_t needed = bytes_of(info, static_cast<std::size_t>(cols)) * static_cast<std::size_t>(rows);
  if (bytes.size() < needed) {
    return fail(ErrorCode::kDataLoss, "a {} matrix of {} x {} needs {} bytes, the file has {}", info.name, rows, cols, needed, bytes.size());
  }
  return Weights{.dtype = dtype, .rows = static_cast<int>(rows), .cols = static_cast<int>(cols), .data = bytes.data()};
}

}  // namespace stoa::models
