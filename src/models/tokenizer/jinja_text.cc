#include "models/tokenizer/jinja_text.h"

#include <algorithm>

#include <unicode/locid.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "base/utf8.h"

namespace stoa::models::jinja {
namespace {

icu::UnicodeString to_icu(std::string_view text) { return icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size()))); }

}  // namespace

std::size_t text_length(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::vector<std::string_view> characters(std::string_view text) {
  std::vector<std::string_view> out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto rune = decode_rune(text);
    out.push_back(text.substr(0, rune.size));
    text.remove_prefix(rune.size);
  }
  return out;
}

std::string to_upper(std::string_view text) {
  std::string out;
  to_icu(text).toUpper(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

std::string to_lower(std::string_view text) {
  std::string out;
  to_icu(text).toLower(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

std::string capitalize(std::string_view text) {
  if (text.empty()) return {};
  const auto first = decode_rune(text);
  return to_upper(text.substr(0, first.size)) + to_lower(text.substr(first.size));
}

std::string to_title(std::string_view text, bool after_any) {
  std::string out;
  bool begins = true;
  for (const auto character : characters(text)) {
    const char32_t rune = decode_rune(character).rune;
    out += begins ? to_upper(character) : to_lower(character);
    begins = after_any ? !u_isalpha(static_cast<UChar32>(rune)) : is_space(rune) || rune == '-' || rune == '(' || rune == '{' || rune == '[' || rune == '<';
  }
  return out;
}

bool is_space(char32_t rune) { return (rune >= 0x1C && rune <= 0x1F) || u_isUWhiteSpace(static_cast<UChar32>(rune)); }

std::string_view strip(std::string_view text, const std::string* set, bool left, bool right) {
  const auto goes = [&](std::string_view character) {
    if (set != nullptr) return set->find(character) != std::string::npos;
    return is_space(decode_rune(character).rune);
  };
  while (left && !text.empty()) {
    const auto first = text.substr(0, decode_rune(text).size);
    if (!goes(first)) break;
    text.remove_prefix(first.size());
  }
  while (right && !text.empty()) {
    std::size_t size = 1;
    while (size < 4 && size < text.size() && (static_cast<unsigned char>(text[text.size() - size]) & 0xC0) == 0x80) ++size;
    if (!goes(text.substr(text.size() - size))) break;
    text.remove_suffix(size);
  }
  return text;
}

std::string replace_all(std::string_view text, std::string_view from, std::string_view to, std::int64_t most) {
  std::string out;
  if (from.empty()) {  // between all characters, as Python does
    for (const auto character : characters(text)) {
      if (most-- != 0) out += to;
      out += character;
    }
    if (most != 0) out += to;
    return out;
  }
  std::size_t at = 0;
  while (most-- != 0) {
    const std::size_t found = text.find(from, at);
    if (found == std::string_view::npos) break;
    out += text.substr(at, found - at);
    out += to;
    at = found + from.size();
  }
  out += text.substr(at);
  return out;
}

}  // namespace stoa::models::jinja
