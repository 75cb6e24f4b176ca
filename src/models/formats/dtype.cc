#include "models/formats/dtype.h"

namespace stoa::models {
namespace {

// In the order of DType, so that an enumerator is its index.
constexpr DTypeInfo kTable[] = {
    {DType::kF32, "F32", 1, 4, 0, "F32"},
    {DType::kF16, "F16", 1, 2, 1, "F16"},
    {DType::kBF16, "BF16", 1, 2, 30, "BF16"},
    {DType::kF64, "F64", 1, 8, 28, "F64"},
    {DType::kQ8_0, "Q8_0", 32, 34, 8, ""},
    {DType::kQ4_0, "Q4_0", 32, 18, 2, ""},
    {DType::kQ4_1, "Q4_1", 32, 20, 3, ""},
    {DType::kQ5_0, "Q5_0", 32, 22, 6, ""},
    {DType::kQ5_1, "Q5_1", 32, 24, 7, ""},
    {DType::kQ4_K, "Q4_K", 256, 144, 12, ""},
    {DType::kQ5_K, "Q5_K", 256, 176, 13, ""},
    {DType::kQ6_K, "Q6_K", 256, 210, 14, ""},
    {DType::kI8, "I8", 1, 1, 24, "I8"},
    {DType::kI16, "I16", 1, 2, 25, "I16"},
    {DType::kI32, "I32", 1, 4, 26, "I32"},
    {DType::kI64, "I64", 1, 8, 27, "I64"},
    {DType::kU8, "U8", 1, 1, -1, "U8"},
    {DType::kBool, "BOOL", 1, 1, -1, "BOOL"},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < std::size(kTable); ++i)
    if (kTable[i].dtype != static_cast<DType>(i)) return false;
  return std::size(kTable) == static_cast<std::size_t>(DType::kBool) + 1;
}
static_assert(in_order());

}  // namespace

std::span<const DTypeInfo> dtype_table() { return kTable; }
const DTypeInfo& dtype_info(DType dtype) { return kTable[static_cast<std::size_t>(dtype)]; }

}  // namespace stoa::models
