// The passages of one collection that share one access list. Internal to this folder; Index guards it with a lock.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/index/index.h"

namespace stoa::data {

struct DocumentInfo {
  std::string id;
  Attributes attributes;
};

// A passage on its way in or out: what a slot holds, with terms spelt out.
struct StoredChunk {
  ChunkKey key = 0;
  std::uint32_t length = 0;  // words
  std::vector<std::pair<std::string, std::uint32_t>> terms;  // with their frequencies
  std::vector<float> vector;
};

class Index::Segment {
 public:
  using Slot = std::uint32_t;
  struct Posting {
    Slot slot;
    std::uint32_t frequency;
  };

  explicit Segment(AccessList access) : access_(std::move(access)) {}
  const AccessList& access() const { return access_; }

  Slot add(StoredChunk chunk, std::shared_ptr<const DocumentInfo> document);
  StoredChunk take(Slot slot);  // frees the slot
  bool empty() const { return live_ == 0; }

  std::size_t live() const { return live_; }
  std::size_t slots() const { return slots_.size(); }
  std::uint64_t total_length() const { return total_length_; }
  std::span<const Posting> postings(std::string_view term) const;
  std::uint32_t length(Slot slot) const { return slots_[slot].length; }
  ChunkKey key(Slot slot) const { return slots_[slot].key; }
  const DocumentInfo* document(Slot slot) const { return slots_[slot].document.get(); }  // null: free

  int dimensions() const { return dimensions_; }  // 0: no vector yet
  // Null when the slot is free or has none.
  const float* vector(Slot slot) const {
    return slots_[slot].has_vector ? vectors_.data() + static_cast<std::size_t>(slot) * static_cast<std::size_t>(dimensions_) : nullptr;
  }

 private:
  struct Entry {
    ChunkKey key = 0;
    std::uint32_t length = 0;
    bool has_vector = false;
    std::shared_ptr<const DocumentInfo> document;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> terms;  // number of the term, frequency
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  AccessList access_;
  std::unordered_map<std::string, std::uint32_t, Hash, std::equal_to<>> numbers_;
  std::vector<const std::string*> names_;          // of the terms: keys of numbers_
  std::vector<std::vector<Posting>> postings_;     // by term, ascending by slot
  std::vector<Entry> slots_;
  std::vector<Slot> free_;
  std::vector<float> vectors_;                     // slots x dimensions
  int dimensions_ = 0;
  std::size_t live_ = 0;
  std::uint64_t total_length_ = 0;
};

}  // namespace stoa::data
