// Byte-level BPE: text is cut into words, each byte of a word is a token, and pairs merge by the rank of their rule.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/tokenizer/pretokenizer.h"
#include "models/tokenizer/token_model.h"

namespace stoa::models {

// A merge rule's outcome. Lower ranks merge first.
struct Merge {
  std::uint32_t rank = UINT32_MAX;
  TokenId id = kNoToken;
};

// (left, right) -> Merge, open addressing.
class MergeTable {
 public:
  void reserve(std::size_t count);
  void add(TokenId left, TokenId right, Merge merge);  // keeps the first rule of a pair; stay within the reserved count
  Merge find(TokenId left, TokenId right) const;

 private:
  struct Slot {
    std::uint64_t key = UINT64_MAX;
    Merge merge;
  };
  std::size_t place(std::uint64_t key) const;
  std::vector<Slot> slots_;
};

struct ByteBpeOptions {
  PreTokenizer pre_tokenizer = PreTokenizer::kGpt2;
  bool ignore_merges = false;         // a word that is a token is that token, whatever the rules say (llama 3)
  bool add_prefix_space = false;      // a space before a text that has none
  bool nfc = false;                   // compose characters first (qwen2's tokenizer.json)
  TokenId missing_byte = kNoToken;    // stands for bytes without a token; kNoToken drops them
};

// The text of tokens and rules writes each byte as a character (GPT-2's table: printable ones as themselves, the rest from U+0100).
// Decodes such text to bytes; false when a character is outside of the table.
bool bytes_of_gpt2_text(std::string_view text, std::string& out);

class ByteBpe final : public TokenModel {
 public:
  // `rules` in rank order, in vocabulary spelling. Rules about texts that are no tokens are left out, as they can never apply.
  ByteBpe(const Vocabulary& vocabulary, const std::vector<std::pair<std::string_view, std::string_view>>& rules, ByteBpeOptions options);

  void encode(std::string_view text, std::vector<TokenId>& out) const override;
  void append_bytes(TokenId id, std::string& out) const override;
  std::string_view kind() const override { return "bpe"; }

 private:
  struct Scratch;
  void word(std::string_view word, Scratch& scratch, std::vector<TokenId>& out) const;
  void merge_short(Scratch& scratch) const;
  void merge_long(Scratch& scratch) const;

  const ByteBpeOptions options_;
  const UnicodeTable table_;
  TextIndex words_;                       // byte spelling -> id
  std::string arena_;                     // byte spellings of all tokens
  std::vector<std::uint64_t> offsets_;    // size + 1
  TokenId byte_ids_[256];
  MergeTable merges_;
  // Whether merging a token's own bytes gives the token: then a word equal to it needs no merging. Found out at first use and kept;
  // threads may find it out twice, with the same answer.
  enum class Direct : std::uint8_t { kUnknown, kYes, kNo };
  std::unique_ptr<std::atomic<Direct>[]> direct_;
};

}  // namespace stoa::models
