// The dense index of one partition: vectors under slots, searched by the cosine, the inner product or L2. It knows no principals, documents or keys.
//
// Vectors are kept as codes of 12 bits a dimension (vector_coder.h), not as they came. Few of them are scanned; from kGraphFrom vectors on a graph (HNSW: Malkov and Yashunin,
// "Efficient and robust approximate nearest neighbor search using hierarchical navigable small world graphs", 2016) is made, and searches walk it. Of many dimensions walks take a first
// look at one bit of each (look_coder.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace stoa::data {

enum class VectorMetric : std::uint8_t { kCosine, kDot, kL2 };

// A vector as the caller has it; converted to floats at once. Not an owner.
class VectorView {
 public:
  enum class Type : std::uint8_t { kF32, kF16, kBf16 };

  VectorView(std::span<const float> values) : data_(values.data()), size_(values.size()) {}   // NOLINT(google-explicit-constructor)
  VectorView(const std::vector<float>& values) : VectorView(std::span(values)) {}             // NOLINT(google-explicit-constructor)
  static VectorView f16(std::span<const std::uint16_t> values) { return {values, Type::kF16}; }    // IEEE 754 binary16
  static VectorView bf16(std::span<const std::uint16_t> values) { return {values, Type::kBf16}; }  // the upper half of binary32

  std::size_t size() const { return size_; }
  void copy_to(std::span<float> floats) const;  // of the same size

 private:
  VectorView(std::span<const std::uint16_t> values, Type type) : data_(values.data()), size_(values.size()), type_(type) {}
  const void* data_;
  std::size_t size_;
  Type type_ = Type::kF32;
};

// The slots that a search may return, bit s % 64 of word s / 64 for slot s; those beyond the words are not allowed. Not an owner.
struct SlotFilter {
  std::span<const std::uint64_t> words;
  std::size_t count = 0;  // bits that are set

  bool allows(std::uint32_t slot) const { return slot / 64 < words.size() && (words[slot / 64] >> (slot % 64) & 1) != 0; }
};

struct DenseHit {
  std::uint32_t slot = 0;
  float score = 0;  // higher is better: the cosine, the inner product, or minus the squared distance; by the codes, right to about three decimals of the vector's range
};

// Thread-safe: searches run beside one another and beside puts and removes; puts and removes run beside one another once there is a graph. A search that
// begins after a put or remove returned sees what it did.
//
// Room of removed vectors is used again. When less than a third of it is in use, puts and removes copy what lives to memory of its own size, some vectors each, and then the old memory is
// given back.
class DenseIndex {
 public:
  static constexpr int kMaxDimensions = 16384;
  static constexpr std::uint32_t kMaxSlot = (1u << 28) - 1;
  static constexpr std::size_t kGraphFrom = 4096;
  static constexpr std::size_t kMaxResults = 1 << 16;

  // kInvalidArgument: dimensions outside of 1 to kMaxDimensions.
  static Result<DenseIndex> create(int dimensions, VectorMetric metric = VectorMetric::kCosine);
  ~DenseIndex();
  DenseIndex(DenseIndex&&) noexcept;
  DenseIndex& operator=(DenseIndex&&) noexcept;

  int dimensions() const;
  VectorMetric metric() const;
  std::size_t size() const;          // vectors
  std::size_t memory_bytes() const;  // what the index holds of the heap, free room in blocks included; waits for save()

  // Inserts the vector, or replaces the one in this slot. Slots should be small numbers: memory is taken for those below. kInvalidArgument: another
  // number of dimensions, a value that is not finite, a length too great for floats, or zero with the cosine; a slot above kMaxSlot.
  Status put(std::uint32_t slot, const VectorView& vector);
  // Whether there was one.
  bool remove(std::uint32_t slot);

  // The k best (fewer if there are not as many), best first. `width` is how many candidates a walk keeps (ef), at least k: more find better. With a filter only what it
  // allows is returned; its width counts allowed ones, so recall is not lower than without. kInvalidArgument: as put(), or k above kMaxResults.
  Result<std::vector<DenseHit>> search(const VectorView& query, std::size_t k, std::size_t width = 64, const SlotFilter* filter = nullptr) const;

  // Writes a snapshot (docs/formats/dense-index.md) piece by piece; puts and removes wait until it is written. An error is the sink's.
  Status save(const std::function<Status(ByteSpan)>& sink) const;
  std::size_t snapshot_bytes() const;  // that save() writes, if nothing is put or removed before
  // Opened by as many threads as said, and by each some megabytes at a time: `take` gives the next so many of the `size` bytes, which need to stay until it is called again. kDataLoss: cut, changed, or
  // not what save() writes. kUnsupported: of another version. Other errors are those of `take`.
  using TakeBytes = std::function<Result<ByteSpan>(std::size_t count)>;
  static Result<DenseIndex> load(std::uint64_t size, const TakeBytes& take, int threads = 1);
  static Result<DenseIndex> load(ByteSpan snapshot, int threads = 1);  // the same of what lies in memory

 private:
  struct Impl;
  explicit DenseIndex(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace stoa::data
