// The tokens of a vocabulary, sorted by their bytes: which of them can follow is found by one walk.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "models/tokenizer/tokenizer.h"

namespace stoa::models {

// Immutable once built; any number of threads. Keeps no reference to the tokenizer. About 25 bytes a token.
class TokenTrie {
 public:
  static constexpr std::size_t kMaxTokenBytes = 255;  // longer tokens are never allowed

  // Control tokens are left out, except those named in `visible`, which stand for their text as written in the vocabulary (for the
  // control tokens that open a tool call: models/tools names them). Takes some 10 to 50 ms.
  static std::shared_ptr<const TokenTrie> build(const Tokenizer& tokenizer, std::span<const std::string> visible = {});
  // Over given bytes, for tests and other vocabularies: tokens[i] are the bytes of token i, empty ones are left out.
  static std::shared_ptr<const TokenTrie> build(std::span<const std::string> tokens, std::span<const TokenId> ends);

  std::int32_t size() const { return size_; }                   // of the vocabulary: ids are 0..size()-1
  std::size_t words() const { return (static_cast<std::size_t>(size_) + 63) / 64; }  // of a mask, 64 bits each
  std::span<const TokenId> end_tokens() const { return ends_; }  // end of generation
  bool is_end(TokenId token) const;
  std::string_view bytes(TokenId token) const;                  // empty for tokens that are never allowed
  std::size_t longest() const { return longest_; }

  // Nodes in preorder; node 0 is the empty prefix. The subtree of node i is [i, skip). Tokens of nodes [a, b) are
  // order()[first of a .. first of b).
  struct Node {
    std::uint32_t skip;
    std::uint32_t first;
    std::uint8_t byte;
    std::uint8_t depth;
  };
  std::span<const Node> nodes() const { return nodes_; }        // one more than there are, as an end
  std::span<const TokenId> order() const { return order_; }

 private:
  TokenTrie() = default;
  void index(std::vector<TokenId> ids);

  std::int32_t size_ = 0;
  std::size_t longest_ = 0;
  std::string arena_;
  std::vector<std::uint32_t> offsets_;  // of token i in arena_: [offsets_[i], offsets_[i + 1])
  std::vector<Node> nodes_;
  std::vector<TokenId> order_;
  std::vector<TokenId> ends_;           // ascending
};

}  // namespace stoa::models
