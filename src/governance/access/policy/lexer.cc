#include "governance/access/policy/lexer.h"

#include <array>
#include <charconv>

#include "base/utf8.h"

namespace stoa::governance {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Characters that make text look different from what it says: controls, and those that turn the direction of writing.
bool is_deceiving(char32_t rune) {
  return rune < 0x20 || (rune >= 0x7F && rune < 0xA0) || rune == 0x200E || rune == 0x200F || rune == 0x2028 || rune == 0x2029 || (rune >= 0x202A && rune <= 0x202E) ||
         (rune >= 0x2066 && rune <= 0x2069);
}

}  // namespace

Error PolicyLexer::wrong(Place place, std::string_view what, ErrorCode code) const {
  return error(code, "{}:{}:{}: {}", name_, place.line, place.column, what);
}

void PolicyLexer::take() {
  const auto rune = decode_rune(text_.substr(at_));
  if (rune.rune == '\n') {
    ++place_.line;
    place_.column = 1;
  } else {
    ++place_.column;
  }
  at_ += rune.size;
}

Status PolicyLexer::skip() {
  while (at_ < text_.size()) {
    const char c = peek();
    if (c == '#') {
      while (at_ < text_.size() && peek() != '\n') {
        const char32_t rune = decode_rune(text_.substr(at_)).rune;
        if (is_deceiving(rune) && rune != '\t' && rune != '\r') return fail(wrong(place_, "a character that cannot be seen"));
        take();
      }
    } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      take();
    } else {
      break;
    }
  }
  return {};
}

Result<PolicyToken> PolicyLexer::next() {
  STOA_CHECK(skip());
  PolicyToken token;
  token.place = place_;
  if (at_ >= text_.size()) return token;
  const std::size_t start = at_;
  const char c = peek();
  if (is_letter(c)) {
    token.kind = PolicyToken::Kind::kWord;
    word();
  } else if (c == '*') {
    token.kind = PolicyToken::Kind::kWord;
    take();
  } else if (c == '"') {
    token.kind = PolicyToken::Kind::kText;
    STOA_CHECK(quoted(token));
  } else if (is_digit(c) || c == '-') {
    token.kind = PolicyToken::Kind::kInteger;
    STOA_CHECK(integer(token));
  } else {
    token.kind = PolicyToken::Kind::kSymbol;
    constexpr std::string_view kSingle = "{}()[],:<>", kFirst = "=!<>";
    if (kFirst.find(c) != kFirst.npos && peek(1) == '=') {
      take();
      take();
    } else if (kSingle.find(c) != kSingle.npos) {
      take();
    } else {
      return fail(wrong(place_, c == '=' ? "'=' compares nothing: write '=='" : c == '!' ? "'!' is written 'not'" : "a character that means nothing here"));
    }
  }
  token.raw = text_.substr(start, at_ - start);
  return token;
}

// Names with dots, of actions and attributes; ".*" may stand at the end.
void PolicyLexer::word() {
  const auto name = [&] {
    while (is_letter(peek()) || is_digit(peek())) take();
  };
  name();
  while (peek() == '.' && is_letter(peek(1))) {
    take();
    name();
  }
  if (peek() == '.' && peek(1) == '*') {
    take();
    take();
  }
}

Status PolicyLexer::quoted(PolicyToken& token) {
  take();
  while (true) {
    if (at_ >= text_.size() || peek() == '\n') return fail(wrong(token.place, "the string has no closing '\"' on its line"));
    if (peek() == '"') break;
    if (peek() == '\\') {
      take();
      if (peek() != '"' && peek() != '\\') return fail(wrong(place_, "only \\\" and \\\\ may follow a backslash"));
    }
    const auto rune = decode_rune(text_.substr(at_));
    if (is_deceiving(rune.rune)) return fail(wrong(place_, "a character that cannot be seen"));
    token.text.append(text_.substr(at_, rune.size));
    if (token.text.size() > limits_.max_text) return fail(wrong(token.place, fmt::format("the string is longer than {} bytes", limits_.max_text), ErrorCode::kTooLarge));
    take();
  }
  take();
  return {};
}

Status PolicyLexer::integer(PolicyToken& token) {
  const std::size_t start = at_;
  take();
  while (is_digit(peek())) take();
  const std::string_view digits = text_.substr(start, at_ - start);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), token.number);
  if (code != std::errc() || end != digits.data() + digits.size() || is_letter(peek()) || peek() == '.')
    return fail(wrong(token.place, fmt::format("'{}' does not begin a whole number that fits 64 bits", digits)));
  return {};
}

}  // namespace stoa::governance
