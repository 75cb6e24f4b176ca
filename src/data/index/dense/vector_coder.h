// Vectors as codes of 12 bits a dimension, and what a query scores against them. Internal to this folder.
//
// As locally-adaptive vector quantization does (Aguerrebere et al., "Similarity search in the blink of an eye with compressed indices", VLDB 2023), a vector is
// centred by a mean and its range is cut into 15 steps of its own. A code has the nearest step of each dimension in 4 bits; a residual has what lies between steps
// in 8 bits more. With c a code, r a residual, low and step of the vector, dimension d of the centred vector x is about
//   low + step * c[d]                                        from the code,
//   low + step * (c[d] + (r[d] + 1/2) / 256 - 1/2)           from both.
//
// What is compared is a key, greater for better. For the cosine (of vectors made to unit length) and L2, it is minus half the squared distance but for a part that only the query
// has: <q, x> - |x|^2 / 2, q centred too. The record's bias is not -|x|^2 / 2 but that less <x, e>, where e is the error of the code: what remains of the error is then
// <q - x, e>, which is small for near vectors. For the inner product the key is <q, x> with q as it is.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "data/index/dense/dense_index.h"
#include "data/index/dense/kernels.h"
#include "data/index/dense/look_coder.h"

namespace stoa::data {

// The head of a record; the code follows it.
struct RecordHead {
  float low;
  float step;
  float bias;  // for the inner product <x, mean>, which pairs of vectors need
  std::atomic<std::uint32_t> slot;  // not the coder's, see NodeStore
};
static_assert(sizeof(RecordHead) == 16);

// A query as two planes of signed bytes: dimension d is about unit * (256 * high[d] + low[d]).
struct CodedQuery {
  std::vector<std::int8_t> high, low;
  float unit = 0;
  float sum = 0;        // of the dimensions
  double constant = 0;  // what the score has beside the key
  float square = 0;     // of its length
  float rounding = 0;   // what a key by a code of step 1 may be off by for the rounding of the query: a variance
  bool has_look = false;  // for first looks
  LookQuery look;
};

class VectorCoder {
 public:
  // Squares of lengths are below this, so that keys and what they are made of fit floats.
  static constexpr float kGreatestSquare = std::numeric_limits<float>::max() / 65536;

  // An empty mean is all zeros. Looks are made if said, and if there are so many dimensions that they pay.
  VectorCoder(int dimensions, VectorMetric metric, std::vector<float> mean, const CodeKernels& kernels, bool looks);

  std::size_t dimensions() const { return dimensions_; }
  std::size_t half() const { return half_; }  // bytes of a code
  std::size_t record_bytes() const { return sizeof(RecordHead) + half_; }
  std::size_t residual_bytes() const { return 2 * half_ + sizeof(float); }  // at its end the bias that goes with both planes
  std::size_t look_bytes() const { return looks_ ? looks_->bytes() : 0; }
  const std::vector<float>& mean() const { return mean_; }
  std::size_t memory_bytes() const { return mean_.size() * sizeof(float) + ones_.size() + (looks_ ? looks_->memory_bytes() : 0); }

  // Vectors are finite, and of unit length for the cosine. The slot of the record is left alone.
  void encode(std::span<const float> vector, std::byte* record, std::byte* residual, std::byte* look) const;
  // Whether the numbers in them are such as encode() writes; codes may be any.
  bool plausible(const std::byte* record, const std::byte* residual, const std::byte* look) const;
  // From both planes, the mean added.
  void decode(const std::byte* record, const std::byte* residual, std::span<float> vector) const;
  // For first looks if said; of a coder that makes looks.
  void encode_query(std::span<const float> vector, CodedQuery& query, bool with_look) const;

  // The keys of records by their codes.
  void keys(const CodedQuery& query, std::span<const std::byte* const> records, float* keys) const;
  // What the keys of these hardly exceed, by their looks; where the coder makes them.
  void reaches(const CodedQuery& query, std::span<const std::byte* const> looks, float* reaches) const { looks_->reaches(query.look, looks, reaches); }
  // What refined_key() is hardly more than, by the key.
  float refined_reach(const CodedQuery& query, const std::byte* record, float key) const;
  float refined_key(const CodedQuery& query, const std::byte* record, const std::byte* residual) const;
  // The sums of the dimensions of records, by their codes: what pair_key() is given.
  void sums(std::span<const std::byte* const> records, float* sums) const;
  // The key of two records by their codes, with the part that only the query would have: compares with a key plus query.constant.
  float pair_key(const std::byte* a, float a_sum, const std::byte* b, float b_sum) const;
  // A key as callers know it: the cosine, the inner product, minus the squared distance.
  float score(const CodedQuery& query, float key) const;

 private:
  const std::size_t dimensions_, half_;
  const VectorMetric metric_;
  const std::vector<float> mean_;
  const float pair_constant_;
  const std::vector<std::int8_t> ones_;
  const CodeKernels& kernels_;
  const std::optional<LookCoder> looks_;
};

}  // namespace stoa::data
