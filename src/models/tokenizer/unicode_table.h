// What tokenizers ask about a character, in a table of a few dozen KiB: one load instead of a library call for each character.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace stoa::models {

// Bits of a character. Categories follow Unicode's general categories; kSpace is the White_Space property.
namespace unicode {
inline constexpr std::uint8_t kLetter = 1, kNumber = 2, kSpace = 4, kPunctuation = 8, kSymbol = 16, kMark = 32;
inline constexpr std::uint8_t kUpper = 64;  // Lu or Lt
inline constexpr std::uint8_t kLower = 128; // Ll
}  // namespace unicode

// Immutable, built once from ICU by whoever needs it (about a millisecond).
class UnicodeTable {
 public:
  UnicodeTable();
  std::uint8_t flags(char32_t rune) const { return rune > 0x10FFFF ? 0 : pages_[page_of_[rune >> 8]][rune & 0xFF]; }
  std::uint8_t ascii(unsigned char byte) const { return ascii_[byte]; }  // byte < 128

 private:
  std::array<std::uint8_t, 128> ascii_{};
  std::array<std::uint16_t, 0x1100> page_of_{};
  std::vector<std::array<std::uint8_t, 256>> pages_;
};

// The next character of valid UTF-8; at < text.size().
struct Rune {
  char32_t value;
  std::uint8_t size;
};
inline Rune next_rune(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  if (first < 0xE0) return {(first & 0x1Fu) << 6 | (byte(1) & 0x3Fu), 2};
  if (first < 0xF0) return {(first & 0x0Fu) << 12 | (byte(1) & 0x3Fu) << 6 | (byte(2) & 0x3Fu), 3};
  return {(first & 0x07u) << 18 | (byte(1) & 0x3Fu) << 12 | (byte(2) & 0x3Fu) << 6 | (byte(3) & 0x3Fu), 4};
}

}  // namespace stoa::models
