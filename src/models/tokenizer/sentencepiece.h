// SentencePiece vocabularies: BPE by score ("llama" in GGUF) and unigram ("t5").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "models/tokenizer/charsmap.h"
#include "models/tokenizer/token_model.h"

namespace stoa::models {

struct SentencePieceOptions {
  bool add_space_prefix = true;
  bool remove_extra_whitespaces = false;  // runs of spaces become one, none at the ends (unigram)
  bool escape_whitespaces = true;         // a space is written U+2581 in the vocabulary
};

// Common to both: text with U+2581 for spaces, byte tokens "<0x41>".
class SentencePiece : public TokenModel {
 public:
  SentencePiece(const Vocabulary& vocabulary, SentencePieceOptions options);
  void append_bytes(TokenId id, std::string& out) const override;
  bool adds_space() const override { return options_.add_space_prefix; }

 protected:
  // The byte tokens of a piece without a token of its own, or the unknown token (one for neighbouring pieces: the callers see to it).
  void fall_back(std::string_view piece, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  const SentencePieceOptions options_;
  bool has_bytes_ = false;
  TokenId byte_ids_[256];
};

// Characters merge by the best score of the joined text, leftmost first among equals.
class SentencePieceBpe final : public SentencePiece {
 public:
  SentencePieceBpe(const Vocabulary& vocabulary, SentencePieceOptions options) : SentencePiece(vocabulary, options) {}
  void encode(std::string_view text, std::vector<TokenId>& out) const override;
  std::string_view kind() const override { return "spm"; }
};

// The most probable sequence of pieces (Viterbi).
class Unigram final : public SentencePiece {
 public:
  Unigram(const Vocabulary& vocabulary, SentencePieceOptions options, std::optional<CharsMap> charsmap);
  void encode(std::string_view text, std::vector<TokenId>& out) const override;
  std::string_view kind() const override { return "unigram"; }

 private:
  std::string normalize(std::string_view text) const;

  std::optional<CharsMap> charsmap_;
  std::vector<TokenId> sorted_;         // by text: a trie as an array, walked by narrowing ranges
  std::vector<std::uint32_t> first_;    // sorted_[first_[b] .. first_[b + 1]) begin with byte b
  float unknown_score_ = 0;
};

}  // namespace stoa::models
