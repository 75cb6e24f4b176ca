// UTF-8 at the level of bytes: validity, boundaries, code points. Unicode properties come from ICU, in the modules that need them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace stoa {

struct DecodedRune {
  char32_t rune;    // U+FFFD when the bytes are not valid UTF-8
  std::uint8_t size;  // bytes consumed: 1 for an invalid byte, 0 at the end of the text
  bool valid;
};

DecodedRune decode_rune(std::string_view text);
void append_rune(std::string& out, char32_t rune);
bool is_valid_utf8(std::string_view text);
// Each maximal invalid byte becomes U+FFFD.
std::string to_valid_utf8(std::string_view text);
// Length of the longest prefix that does not end inside a (so far valid) multi-byte sequence.
std::size_t complete_utf8_prefix(std::string_view text);

}  // namespace stoa
