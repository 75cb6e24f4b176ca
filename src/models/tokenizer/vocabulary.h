// The tokens of a vocabulary as its file writes them, their kinds and roles. Shared ground of the tokenizer kinds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

// Maps byte strings to ids: open addressing over an arena. Immutable once built; lookups take no lock and allocate nothing.
class TextIndex {
 public:
  void reserve(std::size_t count, std::size_t bytes);
  // Keeps the first id of a text. Ids may come in any order.
  void add(std::string_view text, TokenId id);
  TokenId find(std::string_view text) const;
  std::size_t longest() const { return longest_; }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t length = 0;
    std::uint64_t offset = 0;
    TokenId id = kNoToken;
  };
  void grow();

  std::string arena_;
  std::vector<Slot> slots_;
  std::size_t used_ = 0;
  std::size_t longest_ = 0;
};

// Numbers as in tokenizer.ggml.token_type.
enum class TokenType : std::uint8_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6 };

// A token that is matched in running text before the model sees it.
struct MatchedToken {
  TokenId id = kNoToken;
  std::string text;
  bool control = false;       // matched only with parse_special
  bool strip_left = false;    // takes the whitespace before it along
  bool strip_right = false;
};

class Vocabulary {
 public:
  static constexpr std::size_t kMaxTokens = 4'000'000;

  void reserve(std::size_t count);
  void add(std::string_view text, TokenType type, float score);
  // Fixes roles and the matcher; call once after the last add.
  void finish();

  std::int32_t size() const { return static_cast<std::int32_t>(entries_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }
  std::string_view text(TokenId id) const {
    const auto& entry = entries_[static_cast<std::size_t>(id)];
    return std::string_view(arena_).substr(entry.offset, entry.length);
  }
  TokenType type(TokenId id) const { return entries_[static_cast<std::size_t>(id)].type; }
  void set_type(TokenId id, TokenType type) { entries_[static_cast<std::size_t>(id)].type = type; }
  float score(TokenId id) const { return entries_[static_cast<std::size_t>(id)].score; }
  TokenId find(std::string_view text) const { return index_.find(text); }
  bool ends_generation(TokenId id) const { return contains(id) && entries_[static_cast<std::size_t>(id)].ends; }

  // The longest matched token at `at`, or nullptr. `at` < text.size().
  const MatchedToken* match(std::string_view text, std::size_t at, bool parse_special) const;
  // Where the next matched token could begin, from `at`; text.size() when none.
  std::size_t next_candidate(std::string_view text, std::size_t at) const;

  SpecialTokens special;
  std::vector<TokenId> prefix, suffix;    // put around a text by add_special
  std::optional<PairFrame> pair;          // the same for two texts
  std::vector<MatchedToken> extra_rules;  // strip flags of matched tokens, by id (filled by the loader before finish)

 private:
  struct Entry {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    float score = 0;
    TokenType type = TokenType::kNormal;
    bool ends = false;
  };

  void name_gap();

  std::string arena_;
  std::vector<Entry> entries_;
  TextIndex index_;
  std::vector<MatchedToken> matched_;     // by first byte, then longest first
  std::uint32_t first_[257] = {};         // matched_[first_[b] .. first_[b + 1]) begin with byte b
};

}  // namespace stoa::models
