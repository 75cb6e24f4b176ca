#include "models/tokenizer/vocabulary.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

namespace stoa::models {
namespace {

// Multiply-and-fold over eight bytes at a time: pieces are short, and the table compares the bytes anyway.
std::uint32_t hash_of(std::string_view text) {
  constexpr std::uint64_t kA = 0x9E3779B97F4A7C15ull, kB = 0xD6E8FEB86659FD93ull;
  std::uint64_t state = text.size() * kA;
  const char* at = text.data();
  std::size_t left = text.size();
  const auto mix = [&](std::uint64_t word) {
    const auto product = static_cast<unsigned __int128>(state ^ word) * kB;
    state = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  };
  for (; left >= 8; at += 8, left -= 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    mix(word);
  }
  if (left > 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, at, left);
    mix(word);
  }
  return static_cast<std::uint32_t>(state ^ (state >> 32));
}

// The tokens with which known families end a turn or a text, where the file does not name them itself.
constexpr std::string_view kEndTexts[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
                                          "<|eom_id|>", "<EOT>", "<｜end▁of▁sentence｜>", "<|return|>", "<|call|>"};
constexpr std::string_view kTurnEnds[] = {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<EOT>"};

// How known families mark the text before a gap, the text behind it, and what fills it. Code that is filled in ends at the kGapEnds as well.
struct GapTexts {
  std::string_view prefix, suffix, middle;
};
constexpr GapTexts kGaps[] = {{"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"}, {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
                              {"<fim-prefix>", "<fim-suffix>", "<fim-middle>"},       {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},
                              {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"}, {"▁<PRE>", "▁<SUF>", "▁<MID>"}, {"<PRE>", "<SUF>", "<MID>"}};
constexpr std::string_view kGapEnds[] = {"<|fim_pad|>", "<fim_pad>", "<fim-pad>", "<|file_sep|>", "<file_sep>", "<|repo_name|>", "<repo_name>", "▁<EOT>"};

}  // namespace

void TextIndex::reserve(std::size_t count, std::size_t bytes) {
  arena_.reserve(bytes);
  std::size_t slots = 16;
  while (slots < count * 2) slots *= 2;
  if (slots > slots_.size() && used_ == 0) slots_.assign(slots, Slot{});
}

void TextIndex::grow() {
  std::vector<Slot> old(std::max<std::size_t>(16, slots_.size() * 2));
  old.swap(slots_);
  for (const auto& slot : old) {
    if (slot.id == kNoToken) continue;
    std::size_t at = slot.hash & (slots_.size() - 1);
    while (slots_[at].id != kNoToken) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = slot;
  }
}

void TextIndex::add(std::string_view text, TokenId id) {
  if ((used_ + 1) * 2 > slots_.size()) grow();
  if (find(text) != kNoToken) return;
  const std::uint32_t hash = hash_of(text);
  std::size_t at = hash & (slots_.size() - 1);
  while (slots_[at].id != kNoToken) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {hash, static_cast<std::uint32_t>(text.size()), arena_.size(), id};
  arena_.append(text);
  longest_ = std::max(longest_, text.size());
  ++used_;
}

TokenId TextIndex::find(std::string_view text) const {
  if (slots_.empty() || text.size() > longest_) return kNoToken;
  const std::uint32_t hash = hash_of(text);
  for (std::size_t at = hash & (slots_.size() - 1); slots_[at].id != kNoToken; at = (at + 1) & (slots_.size() - 1)) {
    const auto& slot = slots_[at];
    if (slot.hash == hash && slot.length == text.size() && std::memcmp(arena_.data() + slot.offset, text.data(), text.size()) == 0) return slot.id;
  }
  return kNoToken;
}

void Vocabulary::reserve(std::size_t count) {
  entries_.reserve(count);
  arena_.reserve(count * 8);
  index_.reserve(count, count * 8);
}

void Vocabulary::add(std::string_view text, TokenType type, float score) {
  if (!text.empty()) index_.add(text, size());
  if (!std::isfinite(score)) score = 0;  // sums of scores must stay comparable
  entries_.push_back({arena_.size(), static_cast<std::uint32_t>(text.size()), score, type, false});
  arena_.append(text);
}

// Where the file does not name all three.
void Vocabulary::name_gap() {
  for (const GapTexts& texts : kGaps) {
    if (special.fills_in()) break;
    special.fim_prefix = find(texts.prefix);
    special.fim_suffix = find(texts.suffix);
    special.fim_middle = find(texts.middle);
  }
  if (!special.fills_in()) {
    special.fim_prefix = special.fim_suffix = special.fim_middle = kNoToken;
    return;
  }
  for (const TokenId id : {special.fim_prefix, special.fim_suffix, special.fim_middle})
    if (type(id) == TokenType::kNormal) set_type(id, TokenType::kControl);
  for (const auto name : kGapEnds)
    if (const TokenId id = find(name); id != kNoToken) entries_[static_cast<std::size_t>(id)].ends = true;
}

void Vocabulary::finish() {
  name_gap();
  // Files made by older converters leave the tokens that end a turn as normal text.
  for (const auto name : kEndTexts)
    if (const TokenId id = find(name); id != kNoToken) {
      entries_[static_cast<std::size_t>(id)].ends = true;
      if (type(id) == TokenType::kNormal) set_type(id, TokenType::kControl);
    }
  if (special.eot == kNoToken)
    for (const auto name : kTurnEnds)
      if (const TokenId id = find(name); id != kNoToken && special.eot == kNoToken) special.eot = id;
  for (const TokenId id : {special.eos, special.eot})
    if (contains(id)) entries_[static_cast<std::size_t>(id)].ends = true;

  for (TokenId id = 0; id < size(); ++id) {
    const auto kind = type(id);
    if (kind != TokenType::kControl && kind != TokenType::kUserDefined && kind != TokenType::kUnknown) continue;
    if (text(id).empty()) continue;
    MatchedToken token{id, std::string(text(id)), kind != TokenType::kUserDefined, false, false};
    for (const auto& rule : extra_rules)
      if (rule.id == id) {
        token.strip_left = rule.strip_left;
        token.strip_right = rule.strip_right;
      }
    matched_.push_back(std::move(token));
  }
  std::ranges::stable_sort(matched_, [](const MatchedToken& a, const MatchedToken& b) {
    const auto first_a = static_cast<unsigned char>(a.text[0]), first_b = static_cast<unsigned char>(b.text[0]);
    return first_a != first_b ? first_a < first_b : a.text.size() > b.text.size();
  });
  for (const auto& token : matched_) ++first_[static_cast<unsigned char>(token.text[0]) + 1];
  for (std::size_t i = 1; i < 257; ++i) first_[i] += first_[i - 1];
}

const MatchedToken* Vocabulary::match(std::string_view text, std::size_t at, bool parse_special) const {
  const auto byte = static_cast<unsigned char>(text[at]);
  const std::string_view rest = text.substr(at);
  for (std::uint32_t i = first_[byte]; i < first_[byte + 1]; ++i)
    if ((parse_special || !matched_[i].control) && rest.starts_with(matched_[i].text)) return &matched_[i];
  return nullptr;
}

std::size_t Vocabulary::next_candidate(std::string_view text, std::size_t at) const {
  if (matched_.empty()) return text.size();
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (first_[byte] != first_[byte + 1]) break;
    ++at;
  }
  return at;
}

}  // namespace stoa::models
