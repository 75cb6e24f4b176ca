// SentencePiece's precompiled character map: normalisation rules as a double-array trie (layout of darts-clone, which SentencePiece
// embeds) followed by the replacement texts, each ended by a zero byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models {

class CharsMap {
 public:
  // `blob`: 4 bytes of trie size, the trie's 32-bit units, the texts. Error kDataLoss when these do not fit together.
  static Result<CharsMap> parse(std::string_view blob);

  struct Match {
    std::size_t length = 0;        // bytes of the text replaced; 0 when no rule applies
    std::string_view replacement;
  };
  // The longest rule that applies at the start of `text`. Damaged tries match nothing; they are never read out of bounds.
  Match match(std::string_view text) const;

 private:
  std::vector<std::uint32_t> units_;
  std::string texts_;
};

}  // namespace stoa::models
