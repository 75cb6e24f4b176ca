#include "models/compute/cpu/packed_weights.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace stoa::models {

namespace {

// `count` elements of `bytes` bytes each at `offset` in a block of the file.
struct Field {
  int offset = 0;
  int count = 0;
  int bytes = 0;
  bool fifth_bits = false;
};

// The fields of a block in the order in which they are packed. They cover it.
struct Layout {
  int block_bytes = 0;
  Field fields[4] = {};
};

constexpr Layout layout_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return {64, {{0, 16, 4}}};
    case DType::kF16: return {32, {{0, 16, 2}}};
    case DType::kBF16: return {32, {{0, 8, 4}}};
    case DType::kQ8_0: return {34, {{0, 1, 2}, {2, 8, 4}}};
    case DType::kQ4_0: return {18, {{0, 1, 2}, {2, 4, 4}}};
    case DType::kQ4_1: return {20, {{0, 2, 2}, {4, 4, 4}}};
    case DType::kQ5_0: return {22, {{0, 1, 2}, {2, 1, 4, true}, {6, 4, 4}}};
    case DType::kQ5_1: return {24, {{0, 2, 2}, {4, 1, 4, true}, {8, 4, 4}}};
    case DType::kQ4_K: return {144, {{0, 2, 2}, {4, 12, 1}, {16, 32, 4}}};
    case DType::kQ5_K: return {176, {{0, 2, 2}, {4, 12, 1}, {16, 8, 4}, {48, 32, 4}}};
    case DType::kQ6_K: return {210, {{208, 1, 2}, {192, 16, 1}, {128, 16, 4}, {0, 32, 4}}};
    default: return {};
  }
}

// Bit 4 i + b to bit i of byte b.
std::uint32_t spread_bits(std::uint32_t mask) {
  std::uint32_t out = 0;
  for (int bit = 0; bit < 32; ++bit) out |= (mask >> bit & 1u) << (8 * (bit % 4) + bit / 4);
  return out;
}

std::uint32_t gather_bits(std::uint32_t bytes) {
  std::uint32_t out = 0;
  for (int bit = 0; bit < 32; ++bit) out |= (bytes >> (8 * (bit % 4) + bit / 4) & 1u) << bit;
  return out;
}

template <class T>
void interleave(const std::byte* w, std::size_t row_bytes, int rows, int count, std::byte* out) {
  for (int r = 0; r < rows; ++r, w += row_bytes) {
    for (int i = 0; i < count; ++i) std::memcpy(out + (i * kPanelRows + r) * static_cast<int>(sizeof(T)), w + i * static_cast<int>(sizeof(T)), sizeof(T));
  }
}

void change_bits(std::byte* at, std::uint32_t (*change)(std::uint32_t)) {
  std::uint32_t bits;
  std::memcpy(&bits, at, sizeof bits);
  bits = change(bits);
  std::memcpy(at, &bits, sizeof bits);
}

constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kBlockBytes = 32 * kHugePage;

int panels_of(const Weights& w) { return (w.rows + kPanelRows - 1) / kPanelRows; }

}  // namespace

void pack_panel(DType dtype, const std::byte* w, std::size_t row_bytes, int rows, int cols, std::byte* panel) {
  const Layout layout = layout_of(dtype);
  if (rows < kPanelRows) std::memset(panel, 0, panel_bytes(dtype, cols));
  const auto blocks = static_cast<int>(dtype_bytes(dtype, static_cast<std::size_t>(cols))) / layout.block_bytes;
  for (int b = 0; b < blocks; ++b, w += layout.block_bytes) {
    for (const Field& field : layout.fields) {
      switch (field.bytes) {
        case 1: interleave<std::uint8_t>(w + field.offset, row_bytes, rows, field.count, panel); break;
        case 2: interleave<std::uint16_t>(w + field.offset, row_bytes, rows, field.count, panel); break;
        case 4: interleave<std::uint32_t>(w + field.offset, row_bytes, rows, field.count, panel); break;
        default: break;
      }
      for (int r = 0; field.fifth_bits && r < rows; ++r) change_bits(panel + 4 * r, spread_bits);
      panel += field.count * field.bytes * kPanelRows;
    }
  }
}

void unpack_row(DType dtype, const std::byte* panel, int row, int cols, std::byte* out) {
  const Layout layout = layout_of(dtype);
  const auto blocks = static_cast<int>(dtype_bytes(dtype, static_cast<std::size_t>(cols))) / layout.block_bytes;
  for (int b = 0; b < blocks; ++b, out += layout.block_bytes) {
    for (const Field& field : layout.fields) {
      const auto size = static_cast<std::size_t>(field.bytes);
      for (int i = 0; i < field.count; ++i) {
        std::memcpy(out + field.offset + i * field.bytes, panel + (i * kPanelRows + row) * field.bytes, size);
      }
      if (field.fifth_bits) change_bits(out + field.offset, gather_bits);
      panel += field.count * field.bytes * kPanelRows;
    }
  }
}

void PackedWeights::Free::operator()(std::byte* p) const { std::free(p); }

std::size_t PackedWeights::bytes_of(const Weights& w) {
  const std::size_t size = panel_bytes(w.dtype, w.cols) * static_cast<std::size_t>(panels_of(w));
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

std::byte* PackedWeights::allocate(std::size_t bytes) {
  if (bytes > left_) {
    const std::size_t size = std::max((bytes + kHugePage - 1) / kHugePage * kHugePage, kBlockBytes);
    std::unique_ptr<std::byte, Free> block(static_cast<std::byte*>(std::aligned_alloc(kHugePage, size)));
    if (block == nullptr) return nullptr;
#if defined(__linux__)
    madvise(block.get(), size, MADV_HUGEPAGE);  // only advice: without it, small pages do
#endif
    next_ = block.get();
    left_ = size;
    blocks_.push_back(std::move(block));
  }
  std::byte* const at = next_;
  next_ += bytes;
  left_ -= bytes;
  return at;
}

Result<Weights> PackedWeights::add(const Weights& w) {
  if (w.packed) return w;
  const std::size_t panel = panel_bytes(w.dtype, w.cols);
  const int panels = panels_of(w);
  std::byte* const to = allocate(bytes_of(w));
  if (to == nullptr) {
    return fail(ErrorCode::kResourceExhausted, "a matrix of {} x {} needs {} bytes of memory, which the system does not give", w.rows, w.cols, bytes_of(w));
  }
  const std::size_t row_bytes = dtype_bytes(w.dtype, static_cast<std::size_t>(w.cols));
  threads_.parallel_for(panels, std::max(1, panels / (8 * threads_.threads())), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t p = begin; p < end; ++p) {
      const int first = static_cast<int>(p) * kPanelRows;
      pack_panel(w.dtype, w.data + static_cast<std::size_t>(first) * row_bytes, row_bytes, std::min(kPanelRows, w.rows - first), w.cols,
                 to + static_cast<std::size_t>(p) * panel);
    }
  });
  return Weights{.dtype = w.dtype, .rows = w.rows, .cols = w.cols, .data = to, .packed = true};
}

}  // namespace stoa::models
