// WordPiece (BERT): normalised text, words cut at spaces and punctuation, each covered by the longest pieces from the left.
#pragma once

#include <string>

#include "models/tokenizer/normalize.h"
#include "models/tokenizer/token_model.h"
#include "models/tokenizer/unicode_table.h"

namespace stoa::models {

struct WordPieceOptions {
  BertRules rules;
  std::string start_prefix;               // before pieces that begin a word: "" in vocab.txt, "▁" in GGUF
  std::string continuation_prefix = "##"; // before the others: "" in GGUF
  std::size_t max_word_characters = 100;  // longer words become unknown
};

class WordPiece final : public TokenModel {
 public:
  // `vocabulary` outlives the object and has special.unk.
  WordPiece(const Vocabulary& vocabulary, WordPieceOptions options) : vocabulary_(vocabulary), options_(std::move(options)) {}

  void encode(std::string_view text, std::vector<TokenId>& out) const override;
  void append_bytes(TokenId id, std::string& out) const override;
  std::string_view kind() const override { return "wordpiece"; }
  bool adds_space() const override { return true; }

 private:
  void word(std::string_view word, std::string& scratch, std::vector<TokenId>& out) const;

  const Vocabulary& vocabulary_;
  const WordPieceOptions options_;
  const UnicodeTable table_;
};

}  // namespace stoa::models
