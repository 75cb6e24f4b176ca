// The documents of one collection, in groups by what decides who may read them. Internal to this folder.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/index/index.h"
#include "data/index/segment.h"
#include "data/index/slot_set.h"

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
  // Documents with the same access list and marks.
  struct Group {
    AccessList access;
    Marks marks;
    Segment* segment = nullptr;
    SlotSet slots{};       // that are visible, where the segment is shared
    std::size_t used = 0;  // slots that are taken
  };
  // What an entry of access lists lets a principal read.
  struct Readable {
    std::set<const Group*> own, sharing;      // with a segment of their own, in a shared one
    std::map<const Segment*, SlotSet> slots;  // that are visible, of shared ones
    bool empty() const { return own.empty() && sharing.empty(); }
  };
  struct Entry {
    Group* group = nullptr;
    std::vector<Segment::Slot> slots;
    bool has_vectors = false;
    Attributes attributes;
  };

  Collection(std::string owner, std::string_view words, std::string_view model, std::uint64_t most_shared) : project(std::move(owner)), language(words), embedding_model(model), shared_words(most_shared) {}

  const std::string project, language, embedding_model;
  const std::uint64_t shared_words;  // that a shared segment holds before another one is begun
  std::uint64_t turn_overs = 0;  // of the collection that goes by this name; the index's own lock is held
  // Writers run beside one another; who takes a snapshot waits for them to end, and they for him. Taken before `mutex`.
  mutable FairSharedMutex writers;
  mutable FairSharedMutex mutex;  // of all that follows, and of what of the segments excludes searches
  // The first groups have segments of their own, which cost a search some microseconds each; all others share one, of which a search takes the slots that it may read, or
  // several: a group stays in its segment and may grow, so no more begin in one that is half full.
  static constexpr std::size_t kOwnSegments = 32;
  std::vector<std::unique_ptr<Segment>> segments;
  using GroupKey = std::pair<std::string, Marks>;  // the first of the access list
  std::map<GroupKey, std::unique_ptr<Group>> groups;
  std::unordered_map<std::string, Readable> by_reader;  // by entry of the access list
  std::unordered_map<std::string, Entry> documents;
  mutable std::atomic<std::uint64_t> changes = 0;  // passages that came or went since the last snapshot

  auto exclude_searches() const { return mutex.alone(); }
  auto lock_reader() const { return mutex.beside(); }
  auto write_beside() const { return writers.beside(); }

  Group* group(const AccessList& access, const Marks& marks);
  Segment* segment_of_new_group();
  Group* adopt(std::unique_ptr<Group> group);  // null: there is one with the same readers and marks

  // From a snapshot whose segments are there: the groups, in its order.
  Status read_groups(SnapshotReader& in, std::vector<Group*>& read);

  // The steps of a write, by who writes beside others. Those that exclude searches do so by themselves.
  Result<Entry> bring_in(const IndexedDocument& document);
  Status publish(Entry entry, const IndexedDocument& document, const std::vector<AnalysedText>& texts);
  void show(const Entry& entry);  // its passages to those who may read them
  void hide(const Entry& entry);
  Entry withdraw(const std::string& document);  // searches are excluded by the caller
  void clear_away(const Entry& entry);
  void drop_if_unused(Group* group);
};

}  // namespace stoa::data
