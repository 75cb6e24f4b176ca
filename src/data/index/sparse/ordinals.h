// The numbers by which postings name passages. Internal to this folder.
//
// A passage gets the next ordinal when it is put, so lists only grow at their ends; the ordinal of a removed one is dead until a compaction gives the
// living new ones without gaps. It does so list by list: while it runs, lists that it has rewritten hold new ordinals, and whoever reads them translates.
#pragma once

#include <cstdint>
#include <vector>

namespace stoa::data {

constexpr std::uint32_t kNoOrdinal = 0xFFFFFFFF;  // greater than every other

struct Renumbering {
  std::vector<std::uint32_t> old_of_new;  // of the passages that lived when it began, ascending
  std::vector<std::uint32_t> new_of_old;  // kNoOrdinal: was dead
  std::uint32_t shift = 0;                // later ones: new = old - shift

  std::uint32_t old_ordinal(std::uint32_t ordinal) const { return ordinal < old_of_new.size() ? old_of_new[ordinal] : ordinal + shift; }
  std::uint32_t new_ordinal(std::uint32_t ordinal) const { return ordinal < new_of_old.size() ? new_of_old[ordinal] : ordinal - shift; }
};

// How the ordinals of a list are to be read.
struct OrdinalView {
  const std::uint32_t* lengths = nullptr;      // words of each passage, by ordinal as the index numbers it
  const Renumbering* renumbering = nullptr;    // null: the list has the index's own numbers

  std::uint32_t current(std::uint32_t ordinal) const { return renumbering == nullptr ? ordinal : renumbering->old_ordinal(ordinal); }
  std::uint32_t length(std::uint32_t ordinal) const { return lengths[current(ordinal)]; }
};

}  // namespace stoa::data
