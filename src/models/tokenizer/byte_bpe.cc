#include "models/tokenizer/byte_bpe.h"

#include <algorithm>
#include <array>
#include <queue>

#include "base/utf8.h"
#include "models/tokenizer/normalize.h"

namespace stoa::models {
namespace {

// GPT-2 writes the bytes that print as themselves, and the others as the characters from U+0100 on, in byte order.
constexpr std::array<char32_t, 256> byte_characters() {
  std::array<char32_t, 256> out{};
  char32_t next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    out[byte] = prints ? byte : next++;
  }
  return out;
}
constexpr auto kByteCharacters = byte_characters();
constexpr char32_t kLastCharacter = 0x143;

constexpr std::array<std::int16_t, kLastCharacter + 1> character_bytes() {
  std::array<std::int16_t, kLastCharacter + 1> out{};
  out.fill(-1);
  for (std::size_t byte = 0; byte < 256; ++byte) out[kByteCharacters[byte]] = static_cast<std::int16_t>(byte);
  return out;
}
constexpr auto kCharacterBytes = character_bytes();

constexpr std::size_t kShortWord = 48;  // up to here scanning the word for its best pair beats a heap

}  // namespace

bool bytes_of_gpt2_text(std::string_view text, std::string& out) {
  for (std::size_t at = 0; at < text.size();) {
    const auto rune = decode_rune(text.substr(at));
    if (!rune.valid || rune.rune > kLastCharacter || kCharacterBytes[rune.rune] < 0) return false;
    out += static_cast<char>(kCharacterBytes[rune.rune]);
    at += rune.size;
  }
  return true;
}

void MergeTable::reserve(std::size_t count) {
  std::size_t slots = 16;
  while (slots < count * 2) slots *= 2;
  slots_.assign(slots, Slot{});
}

std::size_t MergeTable::place(std::uint64_t key) const {
  const std::uint64_t mixed = key * 0x9E3779B97F4A7C15ull;
  std::size_t at = (mixed ^ (mixed >> 32)) & (slots_.size() - 1);
  while (slots_[at].key != key && slots_[at].key != UINT64_MAX) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  const std::uint64_t key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  auto& slot = slots_[place(key)];
  if (slot.key == UINT64_MAX) slot = {key, merge};
}

Merge MergeTable::find(TokenId left, TokenId right) const {
  if (left < 0 || right < 0) return {};
  const std::uint64_t key = static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32 | static_cast<std::uint32_t>(right);
  const auto& slot = slots_[place(key)];
  return slot.key == key ? slot.merge : Merge{};
}

ByteBpe::ByteBpe(const Vocabulary& vocabulary, const std::vector<std::pair<std::string_view, std::string_view>>& rules, ByteBpeOptions options)
    : options_(options) {
  const auto count = static_cast<std::size_t>(vocabulary.size());
  words_.reserve(count, count * 8);
  offsets_.reserve(count + 1);
  offsets_.push_back(0);
  std::string bytes;
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    bytes.clear();
    const bool plain = vocabulary.type(id) == TokenType::kNormal && bytes_of_gpt2_text(vocabulary.text(id), bytes);
    if (plain)
      words_.add(bytes, id);
    else
      bytes = vocabulary.text(id);
    arena_ += bytes;
    offsets_.push_back(arena_.size());
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char text = static_cast<char>(byte);
    byte_ids_[byte] = words_.find({&text, 1});
  }
  merges_.reserve(rules.size());
  std::string merged;
  std::uint32_t rank = 0;
  for (const auto& [left, right] : rules) {
    merged.assign(left);
    merged += right;
    const TokenId left_id = vocabulary.find(left), right_id = vocabulary.find(right), id = vocabulary.find(merged);
    if (left_id != kNoToken && right_id != kNoToken && id != kNoToken) merges_.add(left_id, right_id, {rank, id});
    ++rank;
  }
  direct_ = std::make_unique<std::atomic<Direct>[]>(count);
}

// Memory reused from word to word.
struct ByteBpe::Scratch {
  struct Candidate {
    Merge merge;
    std::uint32_t left = 0, right = 0;    // nodes
    TokenId left_id = kNoToken, right_id = kNoToken;
    bool operator>(const Candidate& other) const { return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : left > other.left; }
  };
  std::vector<TokenId> ids;
  std::vector<Merge> pairs;
  std::vector<std::uint32_t> previous, next;
  std::vector<Candidate> heap;
};

void ByteBpe::encode(std::string_view text, std::vector<TokenId>& out) const {
  std::string changed;
  if (options_.nfc && to_nfc(text, changed)) text = changed;
  if (options_.add_prefix_space && !text.empty() && !(table_.flags(next_rune(text, 0).value) & unicode::kSpace)) {
    changed = " " + std::string(text);
    text = changed;
  }
  std::vector<std::size_t> ends;
  ends.reserve(text.size() / 4 + 1);
  split_words(options_.pre_tokenizer, table_, text, ends);
  out.reserve(out.size() + ends.size() + ends.size() / 4);
  Scratch scratch;
  std::size_t begin = 0;
  for (const std::size_t end : ends) {
    word(text.substr(begin, end - begin), scratch, out);
    begin = end;
  }
}

void ByteBpe::word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const {
  const TokenId whole = words_.find(word);
  if (whole != kNoToken) {
    if (options_.ignore_merges || word.size() == 1 || direct_[static_cast<std::size_t>(whole)].load(std::memory_order_relaxed) == Direct::kYes) {
      out.push_back(whole);
      return;
    }
  }
  scratch.ids.clear();
  for (const char c : word) scratch.ids.push_back(byte_ids_[static_cast<unsigned char>(c)]);
  if (word.size() <= kShortWord)
    merge_short(scratch);
  else
    merge_long(scratch);
  if (whole != kNoToken) {
    const bool direct = scratch.ids.size() == 1 && scratch.ids[0] == whole;
    direct_[static_cast<std::size_t>(whole)].store(direct ? Direct::kYes : Direct::kNo, std::memory_order_relaxed);
  }
  for (const TokenId id : scratch.ids)
    if (id != kNoToken)
      out.push_back(id);
    else if (options_.missing_byte != kNoToken)
      out.push_back(options_.missing_byte);
}

void ByteBpe::merge_short(Scratch& scratch) const {
  auto& ids = scratch.ids;
  auto& pairs = scratch.pairs;  // pairs[i] merges ids[i] and ids[i + 1]
  pairs.clear();
  for (std::size_t i = 0; i + 1 < ids.size(); ++i) pairs.push_back(merges_.find(ids[i], ids[i + 1]));
  while (!pairs.empty()) {
    std::size_t best = 0;
    for (std::size_t i = 1; i < pairs.size(); ++i)
      if (pairs[i].rank < pairs[best].rank) best = i;
    if (pairs[best].rank == UINT32_MAX) return;
    ids[best] = pairs[best].id;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    pairs.erase(pairs.begin() + static_cast<std::ptrdiff_t>(best));
    if (best > 0) pairs[best - 1] = merges_.find(ids[best - 1], ids[best]);
    if (best < pairs.size()) pairs[best] = merges_.find(ids[best], ids[best + 1]);
  }
}

void ByteBpe::merge_long(Scratch& scratch) const {
  auto& ids = scratch.ids;
  auto& heap = scratch.heap;
  const auto count = static_cast<std::uint32_t>(ids.size());
  constexpr std::uint32_t kEnd = UINT32_MAX;
  constexpr TokenId kGone = -2;
  scratch.previous.resize(count);
  scratch.next.resize(count);
  heap.clear();
  const auto consider = [&](std::uint32_t left, std::uint32_t right) {
    if (const Merge merge = merges_.find(ids[left], ids[right]); merge.rank != UINT32_MAX) heap.push_back({merge, left, right, ids[left], ids[right]});
  };
  for (std::uint32_t i = 0; i < count; ++i) {
    scratch.previous[i] = i == 0 ? kEnd : i - 1;
    scratch.next[i] = i + 1 == count ? kEnd : i + 1;
    if (i + 1 < count) consider(i, i + 1);
  }
  std::ranges::make_heap(heap, std::greater{});
  const auto push = [&](std::uint32_t left, std::uint32_t right) {
    const std::size_t before = heap.size();
    consider(left, right);
    if (heap.size() > before) std::ranges::push_heap(heap, std::greater{});
  };
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, std::greater{});
    const auto candidate = heap.back();
    heap.pop_back();
    // Either side may have merged with another neighbour since.
    if (ids[candidate.left] != candidate.left_id || ids[candidate.right] != candidate.right_id || scratch.next[candidate.left] != candidate.right) continue;
    ids[candidate.left] = candidate.merge.id;
    ids[candidate.right] = kGone;
    const std::uint32_t after = scratch.next[candidate.right], before = scratch.previous[candidate.left];
    scratch.next[candidate.left] = after;
    if (after != kEnd) {
      scratch.previous[after] = candidate.left;
      push(candidate.left, after);
    }
    if (before != kEnd) push(before, candidate.left);
  }
  std::erase(ids, kGone);
}

void ByteBpe::append_bytes(TokenId id, std::string& out) const {
  const auto i = static_cast<std::size_t>(id);
  out.append(arena_, offsets_[i], offsets_[i + 1] - offsets_[i]);
}

}  // namespace stoa::models
