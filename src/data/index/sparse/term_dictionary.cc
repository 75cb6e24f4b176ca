#include "data/index/sparse/term_dictionary.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/utf8.h"

namespace stoa::data {
namespace {

constexpr std::size_t kMaxWalk = 1u << 17;   // terms that a walk looks at
constexpr std::size_t kMaxFuzzyRunes = 64;

std::uint32_t hash_of(std::string_view term) {
  const std::uint64_t hash = std::hash<std::string_view>{}(term);
  return static_cast<std::uint32_t>(hash ^ (hash >> 32));
}

template <class T>
std::size_t bytes_of(const std::vector<T>& row) {
  return row.capacity() * sizeof(T);
}

std::u32string runes_of(std::string_view text) {
  std::u32string runes;
  while (!text.empty()) {
    const DecodedRune rune = decode_rune(text);
    runes += rune.rune;
    text.remove_prefix(rune.size);
  }
  return runes;
}

// The least name above all that begin with `prefix`; empty when there is none.
std::string after_prefix(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  return prefix;
}

// Distances between the beginnings of a word and those of terms that come in order: a row for each character of the term, kept for the next one.
// Optimal string alignment: no part is edited twice.
class DistanceRows {
 public:
  DistanceRows(std::u32string word, int most) : word_(std::move(word)), most_(most), width_(word_.size() + 1), rows_(width_) {
    for (std::size_t j = 0; j < width_; ++j) rows_[j] = static_cast<int>(j);
  }
  // Adds a character after `depth` characters. False: nothing that begins so is near enough.
  bool push(std::size_t depth, char32_t rune) {
    rows_.resize((depth + 2) * width_);
    runes_.resize(depth);
    runes_.push_back(rune);
    const int* before = &rows_[depth * width_];
    int* row = &rows_[(depth + 1) * width_];
    row[0] = static_cast<int>(depth) + 1;
    int least = row[0];
    for (std::size_t j = 1; j < width_; ++j) {
      row[j] = std::min({before[j] + 1, row[j - 1] + 1, before[j - 1] + (word_[j - 1] == rune ? 0 : 1)});
      if (depth > 0 && j > 1 && word_[j - 1] == runes_[depth - 1] && word_[j - 2] == rune) row[j] = std::min(row[j], rows_[(depth - 1) * width_ + j - 2] + 1);
      least = std::min(least, row[j]);
    }
    // A swap takes from two rows back, but never less than a replacement has left in this one.
    return least <= most_;
  }
  int distance(std::size_t depth) const { return rows_[depth * width_ + width_ - 1]; }

 private:
  std::u32string word_, runes_;
  int most_;
  std::size_t width_;
  std::vector<int> rows_;
};

}  // namespace

std::string_view TermDictionary::name(std::uint32_t term) const {
  const char* at = bytes_.data() + names_[term];
  return {at + 1, static_cast<unsigned char>(*at)};
}

// Where the term stands in the table, or the empty place where it would.
std::size_t TermDictionary::slot_of(std::string_view term, std::uint32_t hash) const {
  const std::size_t mask = table_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    const std::uint64_t entry = table_[slot];
    if (entry == 0 || (entry >> 32 == hash && name(static_cast<std::uint32_t>(entry) - 1) == term)) return slot;
  }
}

std::uint32_t TermDictionary::find(std::string_view term) const {
  if (table_.empty()) return kNoTerm;
  const std::uint64_t entry = table_[slot_of(term, hash_of(term))];
  return entry == 0 ? kNoTerm : static_cast<std::uint32_t>(entry) - 1;
}

void TermDictionary::place_in_table(std::uint32_t term, std::uint32_t hash) {
  const std::size_t mask = table_.size() - 1;
  std::size_t slot = hash & mask;
  while (table_[slot] != 0) slot = (slot + 1) & mask;
  table_[slot] = static_cast<std::uint64_t>(hash) << 32 | (term + 1);
}

void TermDictionary::grow_table() {
  if ((used_ + 1) * 4 <= table_.size() * 3) return;
  const auto old = std::exchange(table_, std::vector<std::uint64_t>(std::max<std::size_t>(16, table_.size() * 2)));
  for (const std::uint64_t entry : old) {
    if (entry != 0) place_in_table(static_cast<std::uint32_t>(entry) - 1, static_cast<std::uint32_t>(entry >> 32));
  }
}

void TermDictionary::give_name(std::uint32_t term, std::string_view name) {
  names_[term] = static_cast<std::uint32_t>(bytes_.size());
  bytes_.push_back(static_cast<char>(name.size()));
  bytes_.insert(bytes_.end(), name.begin(), name.end());
}

std::pair<std::uint32_t, bool> TermDictionary::find_or_add(std::string_view term) {
  const std::uint32_t hash = hash_of(term);
  if (!table_.empty()) {
    const std::uint64_t entry = table_[slot_of(term, hash)];
    if (entry != 0) return {static_cast<std::uint32_t>(entry) - 1, false};
  }
  grow_table();
  std::uint32_t number = size();
  if (free_.empty()) {
    names_.push_back(kFree);
  } else {
    number = free_.back();
    free_.pop_back();
  }
  give_name(number, term);
  place_in_table(number, hash);
  ++used_;
  return {number, true};
}

std::uint32_t TermDictionary::add(std::string_view term) {
  const auto [number, is_new] = find_or_add(term);
  if (is_new) insert_in_order(number);
  return number;
}

bool TermDictionary::restore(std::string_view name) {
  if (name.empty()) {
    restored_free_.push_back(size());
    names_.push_back(kFree);
    return true;
  }
  return find_or_add(name).second;
}

TermDictionary::Order TermDictionary::in_order(std::span<const std::uint32_t> terms) const {
  struct Entry {
    std::uint64_t beginning;  // of its name, which nearly always tells two apart
    std::uint32_t term;
  };
  std::vector<Entry> entries;
  entries.reserve(terms.size());
  for (const std::uint32_t term : terms) {
    const std::string_view text = name(term);
    std::uint64_t beginning = 0;
    for (std::size_t i = 0; i < sizeof beginning; ++i) beginning = beginning << 8 | (i < text.size() ? static_cast<unsigned char>(text[i]) : 0u);
    entries.push_back({beginning, term});
  }
  std::ranges::sort(entries, [this](const Entry& a, const Entry& b) { return a.beginning != b.beginning ? a.beginning < b.beginning : name(a.term) < name(b.term); });
  Order leaves;
  constexpr std::size_t kFilled = kLeaf * 3 / 4;  // room for what comes
  for (std::size_t at = 0; at < entries.size(); at += kFilled) {
    auto& leaf = leaves.emplace_back();
    for (std::size_t i = at; i < std::min(at + kFilled, entries.size()); ++i) leaf.push_back(entries[i].term);
  }
  return leaves;
}

// All at once: putting each in its place would look at twenty others.
void TermDictionary::order_restored() {
  free_ = std::exchange(restored_free_, {});
  std::vector<std::uint32_t> terms;
  terms.reserve(used_);
  for (std::uint32_t term = 0; term < size(); ++term)
    if (!is_free(term)) terms.push_back(term);
  leaves_ = in_order(terms);
}

void TermDictionary::remove(std::uint32_t term) {
  remove_from_order(term);
  const std::size_t mask = table_.size() - 1;
  std::size_t hole = slot_of(name(term), hash_of(name(term)));
  // Entries behind the hole move up to it, unless they would come before the place their hash names.
  for (std::size_t next = (hole + 1) & mask; table_[next] != 0; next = (next + 1) & mask) {
    const std::size_t home = (table_[next] >> 32) & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      table_[hole] = table_[next];
      hole = next;
    }
  }
  table_[hole] = 0;
  removed_bytes_ += name(term).size() + 1;
  names_[term] = kFree;
  free_.push_back(term);
  --used_;
}

void TermDictionary::shrink() {
  if (removed_bytes_ * 4 < bytes_.size()) return;
  std::vector<char> bytes;
  bytes.reserve(bytes_.size() - removed_bytes_);
  for (auto& at : names_) {
    if (at == kFree) continue;
    const char* name = bytes_.data() + at;
    at = static_cast<std::uint32_t>(bytes.size());
    bytes.insert(bytes.end(), name, name + 1 + static_cast<unsigned char>(*name));
  }
  bytes_ = std::move(bytes);
  removed_bytes_ = 0;
}

std::size_t TermDictionary::memory_bytes() const {
  std::size_t bytes = bytes_of(table_) + bytes_of(names_) + bytes_of(bytes_) + bytes_of(free_) + bytes_of(leaves_);
  for (const auto& leaf : leaves_) bytes += bytes_of(leaf);
  return bytes;
}

TermDictionary::Place TermDictionary::lower_bound(const Order& leaves, std::string_view name) const {
  // The last leaf that begins below the name, then in it; behind its end begins the next one.
  const auto above = std::partition_point(leaves.begin(), leaves.end(), [&](const auto& leaf) { return this->name(leaf[0]) < name; });
  if (above == leaves.begin()) return {0, 0};
  const auto& leaf = *(above - 1);
  const auto at = std::partition_point(leaf.begin(), leaf.end(), [&](std::uint32_t term) { return this->name(term) < name; });
  if (at == leaf.end()) return {static_cast<std::size_t>(above - leaves.begin()), 0};
  return {static_cast<std::size_t>(above - leaves.begin()) - 1, static_cast<std::size_t>(at - leaf.begin())};
}

void TermDictionary::insert_in_order(std::uint32_t term) {
  Place place = lower_bound(leaves_, name(term));
  if (place.at == 0 && place.leaf > 0) place = {place.leaf - 1, leaves_[place.leaf - 1].size()};
  if (leaves_.empty()) leaves_.emplace_back();
  auto& leaf = leaves_[place.leaf];
  leaf.insert(leaf.begin() + static_cast<std::ptrdiff_t>(place.at), term);
  if (leaf.size() < kLeaf) return;
  std::vector<std::uint32_t> half(leaf.begin() + kLeaf / 2, leaf.end());
  leaf.resize(kLeaf / 2);
  leaf.shrink_to_fit();
  leaves_.insert(leaves_.begin() + static_cast<std::ptrdiff_t>(place.leaf) + 1, std::move(half));
}

void TermDictionary::remove_from_order(std::uint32_t term) {
  const Place place = lower_bound(leaves_, name(term));
  auto& leaf = leaves_[place.leaf];
  leaf.erase(leaf.begin() + static_cast<std::ptrdiff_t>(place.at));
  if (leaf.empty()) leaves_.erase(leaves_.begin() + static_cast<std::ptrdiff_t>(place.leaf));
}

void TermDictionary::advance(const Order& leaves, Place& place) {
  if (++place.at < leaves[place.leaf].size()) return;
  ++place.leaf;
  place.at = 0;
}

// Mostly the goal is near: looked for step by step first.
void TermDictionary::seek(const Order& leaves, Place& place, std::string_view goal) const {
  for (int i = 0; i < 8; ++i) {
    if (at_end(leaves, place) || name(at(leaves, place)) >= goal) return;
    advance(leaves, place);
  }
  place = lower_bound(leaves, goal);
}

bool TermDictionary::with_prefix(std::string_view prefix, const std::function<bool(std::uint32_t)>& visit, const Order* among) const {
  const Order& leaves = among == nullptr ? leaves_ : *among;
  for (Place place = lower_bound(leaves, prefix); !at_end(leaves, place) && name(at(leaves, place)).starts_with(prefix); advance(leaves, place)) {
    if (!visit(at(leaves, place))) return false;
  }
  return true;
}

std::size_t TermDictionary::most_steps() const { return std::min(used_, kMaxWalk); }

// Each step is a term that is near at every place, or a beginning of terms that is too far off: fewer terms never take more of them.
bool TermDictionary::within_distance(std::string_view word, int most, const std::function<bool(std::uint32_t, int)>& visit, const Order* among) const {
  const std::u32string goal = runes_of(word);
  if (goal.size() > kMaxFuzzyRunes) return true;
  const Order& leaves = among == nullptr ? leaves_ : *among;
  DistanceRows rows(goal, most);
  std::string before;  // what the rows are of
  Place place{0, 0};
  for (std::size_t steps = 0; !at_end(leaves, place); ++steps) {
    if (steps == kMaxWalk) return false;
    const std::string_view term = name(at(leaves, place));
    // Rows of the shared beginning stay.
    std::size_t depth = 0, bytes = 0;
    const auto shared = static_cast<std::size_t>(std::ranges::mismatch(term, before).in1 - term.begin());
    bool near = true;
    while (near && bytes < term.size()) {
      const DecodedRune rune = decode_rune(term.substr(bytes));
      bytes += rune.size;
      if (bytes > shared) near = rows.push(depth, rune.rune);
      ++depth;
    }
    before.assign(term.substr(0, bytes));
    if (near) {
      if (const int distance = rows.distance(depth); distance <= most && !visit(at(leaves, place), distance)) return false;
      advance(leaves, place);
      continue;
    }
    const std::string next = after_prefix(before);
    if (next.empty()) return true;
    seek(leaves, place, next);
  }
  return true;
}

}  // namespace stoa::data
