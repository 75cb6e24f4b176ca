// The documents of one collection, in segments by what decides who may read them. Internal to this folder.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/index/index.h"
#include "data/index/segment.h"

namespace stoa::data {

// A shared mutex whose `gate` lets who waits to be alone go before those who come later: a stream of searches cannot starve ingest.
class FairSharedMutex {
 public:
  std::unique_lock<std::shared_mutex> alone() {
    std::lock_guard wait(gate_);
    return std::unique_lock(mutex_);
  }
  std::shared_lock<std::shared_mutex> beside() {
    std::lock_guard wait(gate_);
    return std::shared_lock(mutex_);
  }

 private:
  std::mutex gate_;
  std::shared_mutex mutex_;
};

struct Index::Collection {
  struct Entry {
    Segment* segment = nullptr;
    std::vector<Segment::Slot> slots;
    bool has_vectors = false;
    Attributes attributes;
  };

  Collection(std::string owner, std::string_view words, std::string_view model) : project(std::move(owner)), language(words), embedding_model(model) {}

  const std::string project, language, embedding_model;
  // Writers run beside one another; who takes a snapshot waits for them to end, and they for him. Taken before `mutex`.
  mutable FairSharedMutex writers;
  mutable FairSharedMutex mutex;  // of all that follows, and of what of the segments excludes searches
  using SegmentKey = std::pair<std::string, Marks>;                  // of the access list, and
  std::map<SegmentKey, std::unique_ptr<Segment>> segments;
  std::unordered_map<std::string, std::vector<Segment*>> by_reader;   // by entry of the access list
  std::unordered_map<std::string, Entry> documents;
  mutable std::atomic<std::uint64_t> changes = 0;  // passages that came or went since the last snapshot

  auto exclude_searches() const { return mutex.alone(); }
  auto lock_reader() const { return mutex.beside(); }
  auto write_beside() const { return writers.beside(); }

  Segment* segment(const AccessList& access, const Marks& marks);
  bool adopt(std::unique_ptr<Segment> segment);  // false: there is one with the same readers and marks

  // The steps of a write, by who writes beside others. Those that exclude searches do so by themselves.
  Result<Entry> bring_in(const IndexedDocument& document);
  Status publish(Entry entry, const IndexedDocument& document, const std::vector<AnalysedText>& texts);
  Entry withdraw(const std::string& document);  // searches are excluded by the caller
  void clear_away(const Entry& entry);
  void drop_if_unused(Segment* segment);
};

}  // namespace stoa::data
