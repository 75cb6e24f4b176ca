// Codes of one bit a dimension, for a first look at vectors that most often are not worth a second one. Internal to this folder.
//
// As RaBitQ does (Gao and Long, "RaBitQ: quantizing high-dimensional vectors with a theoretical error bound for approximate nearest neighbor search", SIGMOD 2024), a vector x
// and a query q, both centred by the mean, are turned by the same random rotation. A look has the signs s of x, and with f = |x|^2 / sum of |x[d]|, both after the rotation,
//   f * <s, q>  is <q, x> on average, and is off by  |q| * |x| * sqrt((1 - c^2) / c^2 / (dimensions - 1)),  c = |x| / (f * sqrt(dimensions)),
// in the standard deviation at most. The rotation makes this hold of all vectors, such as those that are zero in most dimensions. The keys are those of vector_coder.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data/index/dense/dense_index.h"
#include "data/index/dense/kernels.h"

namespace stoa::data {

// The head of a look; the signs follow it, a bit for each dimension.
struct LookHead {
  float scale;  // f
  float bias;   // of the key: -|x|^2 / 2, for the inner product <x, mean>
  float error;  // what f * <s, q> is off by, over |q|
};
static_assert(sizeof(LookHead) == 12);

// A query for looks: dimension d of the turned one is about unit * turned[d].
struct LookQuery {
  std::vector<std::int8_t> turned;
  float unit = 0;
  std::int32_t sum = 0;  // of turned
  float doubt = 0;       // what is added for each error of a look
};

class LookCoder {
 public:
  // Of fewer dimensions the codes of four bits lie in as few lines of memory.
  static constexpr int kFewestDimensions = 192;

  LookCoder(int dimensions, VectorMetric metric, const CodeKernels& kernels);

  std::size_t bytes() const { return bytes_; }  // of a look: whole lines of memory
  std::size_t memory_bytes() const { return flips_.size() * sizeof(float); }

  // An empty mean is all zeros.
  void encode(std::span<const float> vector, std::span<const float> mean, std::byte* look) const;
  // Whether the numbers in it are such as encode() writes; signs may be any.
  bool plausible(const std::byte* look) const;
  void encode_query(std::span<const float> vector, std::span<const float> mean, LookQuery& query) const;
  // What the keys of vectors hardly exceed, by their looks. At most kMost at once.
  static constexpr std::size_t kMost = 64;
  void reaches(const LookQuery& query, std::span<const std::byte* const> looks, float* reaches) const;

 private:
  std::vector<float> turned(std::span<const float> vector, std::span<const float> mean) const;

  const std::size_t dimensions_, words_, bytes_;
  const VectorMetric metric_;
  const std::vector<float> flips_;  // 1 or -1, for each step of the rotation one a dimension
  const CodeKernels& kernels_;
};

}  // namespace stoa::data
