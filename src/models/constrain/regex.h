// Regular expressions read into syntax. The subset is described in README.md.
#pragma once

#include <string_view>

#include "base/result.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

struct RegexMode {
  bool json = false;     // each character as JSON writes it inside a string
  bool search = false;   // as `pattern` of JSON Schema: a match anywhere, so that a side without ^ or $ is open
};

// kInvalidArgument names the byte and what is not supported there.
Result<NodeId> read_regex(Syntax& syntax, std::string_view text, RegexMode mode);

// The fewest and most characters (kRunes) that a node without rules can match; -1 as most: any number.
struct LengthRange {
  std::int64_t least = 0, most = 0;
};
LengthRange length_range(const Syntax& syntax, NodeId node);

// What \d, \w and \s stand for, negated for the capital letters; empty for other letters.
RuneSet class_escape(char letter);

}  // namespace stoa::models::constrain
