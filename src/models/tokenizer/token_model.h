// What distinguishes the tokenizer kinds: how a stretch of plain text becomes tokens, and what a token stands for.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "models/tokenizer/vocabulary.h"

namespace stoa::models {

// Immutable; any number of threads.
class TokenModel {
 public:
  virtual ~TokenModel() = default;
  // `text` is valid UTF-8 without special tokens. Appends.
  virtual void encode(std::string_view text, std::vector<TokenId>& out) const = 0;
  // Appends the bytes of a token that is no control token.
  virtual void append_bytes(TokenId id, std::string& out) const = 0;
  virtual std::string_view kind() const = 0;
  // True where the first token's leading space was added by the tokenizer, so that decoding takes it off.
  virtual bool adds_space() const { return false; }
};

}  // namespace stoa::models
