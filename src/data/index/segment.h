// Passages of one collection, under slots: their words, vectors, attributes and keys. Internal to this folder; Index guards it.
//
// A passage goes through its slot in steps: reserve(), put_vector() beside searches, publish(), and out again: hide(), drop_vector() beside searches, release(). Only what is
// between publish() and hide() is found.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "data/index/attribute_index.h"
#include "data/index/dense/dense_index.h"
#include "data/index/index.h"
#include "data/index/slot_bitmap.h"
#include "data/index/sparse/sparse_search.h"

namespace stoa::data {

class SnapshotWriter;
class SnapshotReader;

class Index::Segment {
 public:
  using Slot = std::uint32_t;

  explicit Segment(bool shared) : shared_(shared) {}
  bool shared() const { return shared_; }  // by passages that not the same principals may read

  // --- writes; all but put_vector() and drop_vector() exclude searches ---

  // Room for passages. `dimensions` of their vectors, 0: none has one. kInvalidArgument: vectors here have others; kResourceExhausted: full.
  Result<std::vector<Slot>> reserve(std::size_t passages, int dimensions);
  Status put_vector(Slot slot, std::span<const float> vector);  // kInvalidArgument: not finite, or zero
  // All of a document, or nothing.
  Status publish(std::span<const Slot> slots, std::span<const ChunkKey> keys, std::span<const AnalysedText> texts);
  void hide(std::span<const Slot> slots);
  void drop_vector(Slot slot);  // of a passage for which dimensions were reserved
  void release(std::span<const Slot> slots);

  AttributeIndex& attributes() { return attributes_; }
  const AttributeIndex& attributes() const { return attributes_; }

  // --- reads ---

  bool unused() const { return used_ == 0; }  // no slot is taken
  std::size_t used() const { return used_; }  // slots that are
  bool has_vectors() const { return vectors_ != nullptr; }
  const SparseIndex& words() const { return words_; }
  std::span<const std::int64_t> keys() const { return keys_; }  // by slot; of hidden ones anything
  std::size_t passages() const { return visible_count_; }
  const SlotBitmap& visible() const { return visible_; }
  // The k nearest of the visible, or of `allowed`, appended. Nothing where the vectors have another dimension.
  Status nearest(std::span<const float> vector, std::size_t k, const SlotBitmap* allowed, std::vector<Hit>& hits) const;

  // While nothing is written: what all slots hold, and a segment of it in which every slot is free. Index::load() takes back those that documents name.
  Status save(SnapshotWriter& out) const;
  static Result<std::unique_ptr<Segment>> load(SnapshotReader& in, int threads);
  // kDataLoss: not what the words know, or taken twice.
  Status take_back(std::span<const Slot> slots);
  // What is left over is free. kDataLoss: words or vectors of a slot that is.
  Status settle();

 private:
  const bool shared_;
  SparseIndex words_;
  std::unique_ptr<DenseIndex> vectors_;
  AttributeIndex attributes_;
  std::vector<std::int64_t> keys_;  // by slot
  SlotBitmap visible_;
  std::vector<Slot> free_;
  std::size_t used_ = 0;            // slots that are taken
  std::size_t visible_count_ = 0;
};

}  // namespace stoa::data
