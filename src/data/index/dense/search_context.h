// What one search or put needs while it runs, kept from one to the next so that nothing is allocated; and when all that ran at some moment have ended. Internal to
// this folder.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "data/index/dense/vector_coder.h"

namespace stoa::data {

struct Candidate {
  float key;
  std::uint32_t node;
};

// The best candidates so far, best first, each with a mark whether its neighbours were looked at.
class CandidatePool {
 public:
  void reset(std::size_t width) {
    if (entries_.size() < width) entries_.resize(width);
    width_ = width;
    size_ = next_ = 0;
  }
  bool full() const { return size_ == width_; }
  float worst() const { return entries_[size_ - 1].key; }
  std::size_t size() const { return size_; }
  std::span<Candidate> candidates() { return {entries_.data(), size_}; }  // marks are removed by finish()

  void insert(Candidate candidate) {
    if (full()) {
      if (candidate.key <= worst()) return;
      --size_;
    }
    Candidate* const begin = entries_.data();
    Candidate* const at = std::upper_bound(begin, begin + size_, candidate, [](const Candidate& a, const Candidate& b) { return a.key > b.key; });
    std::memmove(static_cast<void*>(at + 1), at, static_cast<std::size_t>(begin + size_ - at) * sizeof(Candidate));
    *at = candidate;
    ++size_;
    next_ = std::min(next_, static_cast<std::size_t>(at - begin));
  }

  // The best candidate without a mark, which gets it; or kNone.
  std::uint32_t take() {
    while (next_ < size_ && (entries_[next_].node & kMark) != 0) ++next_;
    if (next_ == size_) return kNone;
    const std::uint32_t node = entries_[next_].node;
    entries_[next_++].node |= kMark;
    return node;
  }
  void finish() {
    for (std::size_t i = 0; i < size_; ++i) entries_[i].node &= ~kMark;
  }

  std::size_t memory_bytes() const { return entries_.capacity() * sizeof(Candidate); }

  static constexpr std::uint32_t kNone = ~0u;
  static constexpr std::uint32_t kMark = 1u << 31;  // numbers of nodes are smaller

 private:
  std::vector<Candidate> entries_;
  std::size_t width_ = 0, size_ = 0, next_ = 0;
};

// The nodes that a walk has looked at: a byte each, with the number of the walk.
class VisitedMarks {
 public:
  // For nodes below `end`. What is added later by others is not this walk's.
  void reset(std::uint32_t end) {
    if (marks_.size() < end) marks_.resize(end + end / 2);
    end_ = static_cast<std::uint32_t>(marks_.size());
    count_ = 0;
    if (++walk_ != 0) return;
    std::fill(marks_.begin(), marks_.end(), 0);
    walk_ = 1;
  }
  // Whether it was not there.
  bool add(std::uint32_t node) {
    if (node >= end_) return false;
    const bool added = marks_[node] != walk_;
    marks_[node] = walk_;
    count_ += added;
    return added;
  }
  std::size_t count() const { return count_; }
  std::size_t memory_bytes() const { return marks_.capacity(); }

 private:
  std::vector<std::uint8_t> marks_;
  std::uint32_t end_ = 0;
  std::uint8_t walk_ = 0;
  std::size_t count_ = 0;
};

// Nodes whose records are fetched into the caches, then scored together; or whose looks are, first.
struct NodeBatch {
  static constexpr std::size_t kRoom = 64;
  static_assert(kRoom <= LookCoder::kMost);
  std::size_t count = 0;
  std::array<std::uint32_t, kRoom> nodes;
  bool by_looks = false;  // records are not those of the nodes, but their looks
  std::array<const std::byte*, kRoom> records;
  std::array<float, kRoom> keys;
};

struct SearchContext {
  CandidatePool pool;               // of a walk; after a search, what it found
  CandidatePool allowed;            // of a walk beside a filter
  std::vector<Candidate> frontier;  // of such a walk: a heap
  VisitedMarks visited;
  std::vector<float> vector;
  std::vector<std::uint32_t> slots;  // of hits
  CodedQuery query;
  std::array<NodeBatch, 2> batches;

  std::size_t memory_bytes() const {
    return sizeof *this + pool.memory_bytes() + allowed.memory_bytes() + visited.memory_bytes() + frontier.capacity() * sizeof(Candidate) +
           (vector.capacity() + slots.capacity()) * sizeof(float) + 2 * query.high.capacity() + query.look.turned.capacity();
  }

 private:
  friend class ContextPool;
  std::uint64_t era = 0;  // in which it was lent
};

// Lends contexts. Thread-safe. What was retired is called, by whoever gives a context back, when all contexts that were lent at that time are back: then nobody
// reads any more what was out of reach by then.
class ContextPool {
 public:
  class Lease {
   public:
    explicit Lease(ContextPool& pool) : pool_(pool), context_(pool.lend()) {}
    ~Lease() { pool_.take_back(std::move(context_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    SearchContext& operator*() const { return *context_; }

   private:
    ContextPool& pool_;
    std::unique_ptr<SearchContext> context_;
  };

  using Action = std::function<void()>;
  // To be called with a context lent.
  void retire(Action action);
  std::size_t memory_bytes() const;  // of those not lent
  // Of contexts that are lent from now on, whether what is given back is kept for the next: not at first, since a small index would be half contexts, and makes one in no time.
  // Those of before are not kept: they grew with what was there then.
  void keep_idle(bool keep);

 private:
  struct Retired {
    std::uint64_t era;
    Action action;
  };
  std::unique_ptr<SearchContext> lend();
  void take_back(std::unique_ptr<SearchContext> context);
  std::vector<Action> due();

  std::mutex running_;  // held while what was retired is called, so that it is called in order
  mutable std::mutex mutex_;    // of what follows
  bool keeps_idle_ = false;
  std::uint64_t era_ = 0, kept_from_ = 0;
  std::vector<std::unique_ptr<SearchContext>> idle_;
  std::vector<const SearchContext*> lent_;
  std::deque<Retired> retired_;
};

}  // namespace stoa::data
