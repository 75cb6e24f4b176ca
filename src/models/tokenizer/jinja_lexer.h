// Template source to tokens. White space follows Jinja 2 with trim_blocks and lstrip_blocks set, as Hugging Face sets it up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace stoa::models::jinja {

enum class TokenKind : std::uint8_t {
  kText,        // outside of tags; `text` is what is printed
  kPrintBegin,  // {{
  kPrintEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,      // `text` without quotes, escapes resolved
  kInteger,
  kReal,
  kSign,        // an operator or bracket, in `text`
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  int line = 1;
};

// Errors: kInvalidArgument naming the line (unknown character, text or tag without end).
Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace stoa::models::jinja
