// The terms of one index: numbers for them, and their order. Internal to this folder.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stoa::data {

constexpr std::uint32_t kNoTerm = 0xFFFFFFFF;
constexpr std::size_t kMaxTermSize = 255;  // bytes

class TermDictionary {
 public:
  std::uint32_t find(std::string_view term) const;  // kNoTerm: not there
  // The number of a term of 1 to 255 bytes, given anew if need be: one that was freed, or size() before the call.
  std::uint32_t add(std::string_view term);
  void remove(std::uint32_t term);  // frees the number
  // How many numbers there are, those that are free included.
  std::uint32_t size() const { return static_cast<std::uint32_t>(names_.size()); }
  bool is_free(std::uint32_t term) const { return names_[term] == kFree; }
  std::string_view name(std::uint32_t term) const;
  void shrink();  // gives back what removed terms took
  std::size_t memory_bytes() const;

  // Terms in their order, in leaves that are not empty.
  using Order = std::vector<std::vector<std::uint32_t>>;
  // Of some terms, each once.
  Order in_order(std::span<const std::uint32_t> terms) const;

  // Calls `visit` for the terms that begin with `prefix`, in their order, until it says no: false then. `among`: goes through these terms only; null: all.
  bool with_prefix(std::string_view prefix, const std::function<bool(std::uint32_t)>& visit, const Order* among = nullptr) const;
  // Calls `visit` with the terms within `most` (1 or 2) insertions, deletions, replacements and swaps of neighbouring characters of `word`, and how many it
  // takes. A walk through the order, in which terms with the same beginning share the work and beginnings that are too far off are passed by at once. False:
  // `visit` said no, or there was more than a bounded number of steps, which only very large dictionaries come to. What is found among some terms does not depend on the others.
  bool within_distance(std::string_view word, int most, const std::function<bool(std::uint32_t, int)>& visit, const Order* among = nullptr) const;
  std::size_t most_steps() const;  // of such a walk through all terms

  // For snapshots: takes a number after the last one, with a name or free; order_restored() after the last of them, before anything else. False: the name is there already.
  bool restore(std::string_view name);
  void order_restored();

 private:
  static constexpr std::uint32_t kFree = 0xFFFFFFFF;
  // Terms in order, in leaves of at most kLeaf: a new term moves little.
  static constexpr std::size_t kLeaf = 256;
  struct Place {
    std::size_t leaf = 0, at = 0;
  };

  // The number of the term, and whether it is new: then it has a name and a place in the table, and none in the order yet.
  std::pair<std::uint32_t, bool> find_or_add(std::string_view term);
  std::size_t slot_of(std::string_view term, std::uint32_t hash) const;
  void place_in_table(std::uint32_t term, std::uint32_t hash);
  void grow_table();
  void give_name(std::uint32_t term, std::string_view name);
  // What is in `leaves`, here and below: the terms among which is looked.
  Place lower_bound(const Order& leaves, std::string_view name) const;
  void insert_in_order(std::uint32_t term);
  void remove_from_order(std::uint32_t term);
  static bool at_end(const Order& leaves, const Place& place) { return place.leaf == leaves.size(); }
  static std::uint32_t at(const Order& leaves, const Place& place) { return leaves[place.leaf][place.at]; }
  static void advance(const Order& leaves, Place& place);
  void seek(const Order& leaves, Place& place, std::string_view name) const;

  std::vector<std::uint64_t> table_;    // hash << 32 | number + 1, open addressing; 0: nothing
  std::vector<std::uint32_t> names_;    // by number: offset in bytes_, kFree
  std::vector<char> bytes_;             // length in a byte, then the name
  std::vector<std::uint32_t> free_, restored_free_;  // those of a snapshot are given out again once all of it is there
  Order leaves_;
  std::size_t used_ = 0;                // numbers that are not free
  std::size_t removed_bytes_ = 0;
};

}  // namespace stoa::data
