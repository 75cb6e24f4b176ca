// Weight matrices in the order in which the kernels for CPUs read them.
//
// Packed weights are the same bytes in another order, so that products need no shuffling: sixteen rows make a panel, and within a panel
// every field of a block (kernels.h lists them) is interleaved, its first element of all sixteen rows, then the second of all:
//   a scale:          16 halves
//   stored integers:  4 bytes of row 0, 4 bytes of row 1 ... of row 15, then the next 4 bytes of each
// The blocks of a row follow each other as in the file, panels follow each other, and the rows that the last panel lacks are zero. 32-bit
// masks of fifth bits (Q5_0, Q5_1) are transposed as well: bit i of byte b is that of value 4 i + b, next to which its nibble lies.
// F32 and F16 are interleaved value by value, BF16 in pairs, as the dot product instructions for bfloat16 want them. This is also the
// order in which the tile registers of AMX take their second operand.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "models/compute/backend.h"
#include "models/compute/thread_pool.h"
#include "models/compute/weights.h"

namespace stoa::models {

inline constexpr int kPanelRows = 16;

// Bytes of one panel.
inline std::size_t panel_bytes(DType dtype, int cols) { return dtype_bytes(dtype, static_cast<std::size_t>(cols)) * kPanelRows; }

// Packs up to sixteen rows, row_bytes apart, into a panel.
void pack_panel(DType dtype, const std::byte* w, std::size_t row_bytes, int rows, int cols, std::byte* panel);
// The bytes of one row of a panel as they were in the file.
void unpack_row(DType dtype, const std::byte* panel, int row, int cols, std::byte* out);

// Owns packed copies, in huge pages where the system has them. Products of packed weights are several times faster than of weights
// in file order, which every product packs anew; a model is packed once, at the speed of memory.
class PackedWeights final : public WeightStore {
 public:
  explicit PackedWeights(ThreadPool& threads) : threads_(threads) {}

  // The packed copy of `w`, which lives as long as this object. Weights that are packed already come back as they are. Error:
  // kResourceExhausted where memory does not suffice.
  Result<Weights> add(const Weights& w) override;
  // The memory that the copy of `w` takes.
  static std::size_t bytes_of(const Weights& w);

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  static constexpr std::size_t kAlignment = 64;
  std::byte* allocate(std::size_t bytes);  // null where there is no memory

  ThreadPool& threads_;
  // Many matrices share a block, so that little of a huge page is left over; what is not used of a block takes no memory.
  std::vector<std::unique_ptr<std::byte, Free>> blocks_;
  std::byte* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace stoa::models
