#include "models/tokenizer/normalize.h"

#include <algorithm>

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/stringpiece.h>
#include <unicode/uchar.h>

#include "base/utf8.h"

namespace stoa::models {
namespace {

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

// Runs an ICU form over `text`; false when there is nothing to change.
bool run(const icu::Normalizer2* form, UErrorCode code, std::string_view text, std::string& out) {
  const icu::StringPiece piece(text.data(), static_cast<std::int32_t>(text.size()));
  if (U_FAILURE(code) || form->isNormalizedUTF8(piece, code)) return false;
  out.clear();
  icu::StringByteSink<std::string> sink(&out, static_cast<std::int32_t>(text.size()));
  form->normalizeUTF8(0, piece, sink, nullptr, code);
  return U_SUCCESS(code);
}

// ICU counts in 32 bits; longer text is left as it is.
constexpr std::size_t kMaxBytes = 1u << 30;

bool is_cjk(char32_t c) {
  constexpr struct {
    char32_t first, last;
  } kRanges[] = {{0x4E00, 0x9FFF}, {0x3400, 0x4DBF}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF}, {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(kRanges, [c](const auto& range) { return c >= range.first && c <= range.last; });
}

bool is_dropped(char32_t c) {
  if (c == 0 || c == 0xFFFD) return true;
  if (c == '\t' || c == '\n' || c == '\r') return false;
  const auto category = u_charType(static_cast<UChar32>(c));
  return category == U_CONTROL_CHAR || category == U_FORMAT_CHAR || category == U_PRIVATE_USE_CHAR;
}

void append_lower(std::string& out, char32_t c) {
  constexpr char32_t kCapitalIWithDot = 0x130;  // the one character whose lower case is two
  if (c == kCapitalIWithDot) {
    out += "i\u0307";
  } else {
    append_rune(out, static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  }
}

}  // namespace

bool to_nfc(std::string_view text, std::string& out) {
  if (text.size() > kMaxBytes || is_ascii(text)) return false;
  UErrorCode code = U_ZERO_ERROR;
  const auto* form = icu::Normalizer2::getNFCInstance(code);
  return run(form, code, text, out);
}

std::string normalize_bert(std::string_view text, const BertRules& rules, const UnicodeTable& table) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  const bool ascii = is_ascii(text);
  for (std::size_t at = 0; at < text.size();) {
    const auto rune = next_rune(text, at);
    at += rune.size;
    if (rules.clean_text) {
      if (rune.value < 0x80 ? (rune.value < 0x20 || rune.value == 0x7F) && rune.value != '\t' && rune.value != '\n' && rune.value != '\r' : is_dropped(rune.value)) continue;
      if (table.flags(rune.value) & unicode::kSpace) {
        out += ' ';
        continue;
      }
    }
    if (rune.value < 0x80) {
      out += rules.lowercase && ascii && rune.value >= 'A' && rune.value <= 'Z' ? static_cast<char>(rune.value + 32) : static_cast<char>(rune.value);
    } else if (rules.handle_chinese_chars && is_cjk(rune.value)) {
      out += ' ';
      append_rune(out, rune.value);
      out += ' ';
    } else {
      append_rune(out, rune.value);
    }
  }
  if (ascii) return out;
  if (rules.strip_accents && out.size() <= kMaxBytes) {
    UErrorCode code = U_ZERO_ERROR;
    std::string decomposed;
    const auto* form = icu::Normalizer2::getNFDInstance(code);
    const std::string& source = run(form, code, out, decomposed) ? decomposed : out;
    std::string kept;
    kept.reserve(source.size());
    for (std::size_t at = 0; at < source.size();) {
      const auto rune = next_rune(source, at);
      if (u_charType(static_cast<UChar32>(rune.value)) != U_NON_SPACING_MARK) kept.append(source, at, rune.size);
      at += rune.size;
    }
    out.swap(kept);
  }
  if (rules.lowercase) {
    std::string lower;
    lower.reserve(out.size());
    for (std::size_t at = 0; at < out.size();) {
      const auto rune = next_rune(out, at);
      append_lower(lower, rune.value);
      at += rune.size;
    }
    out.swap(lower);
  }
  return out;
}

}  // namespace stoa::models
