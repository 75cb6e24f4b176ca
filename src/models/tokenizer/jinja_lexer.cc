#include "models/tokenizer/jinja_lexer.h"

#include <algorithm>

#include "base/utf8.h"

namespace stoa::models::jinja {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  Result<std::vector<Token>> run() {
    // A single line break at the end of the source is not part of the template.
    if (source_.ends_with('\n')) source_.remove_suffix(1);
    while (at_ < source_.size()) STOA_CHECK(outside());
    push(TokenKind::kEnd, {});
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return source_.substr(at_); }
  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }
  void advance(std::size_t count) {
    line_ += static_cast<int>(std::ranges::count(source_.substr(at_, count), '\n'));
    at_ += count;
  }
  std::unexpected<Error> wrong(std::string_view what) const { return fail(ErrorCode::kInvalidArgument, "template line {}: {}", line_, what); }

  // Text up to the next tag, then that tag.
  Status outside() {
    std::size_t open = at_;
    while (true) {
      open = source_.find('{', open);
      if (open == std::string_view::npos || open + 1 >= source_.size()) {
        emit_text(source_.substr(at_));
        advance(source_.size() - at_);
        return {};
      }
      if (const char c = source_[open + 1]; c == '{' || c == '%' || c == '#') break;
      ++open;
    }
    const char kind = source_[open + 1];
    const char control = open + 2 < source_.size() ? source_[open + 2] : '\0';
    std::string_view text = source_.substr(at_, open - at_);
    if (control == '-') {
      while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    } else if (control != '+' && kind != '{') {
      strip_indent(text);
    }
    emit_text(text);
    advance(open - at_);
    advance(control == '-' || control == '+' ? 3 : 2);
    if (kind == '#') return comment();
    const bool print = kind == '{';
    push(print ? TokenKind::kPrintBegin : TokenKind::kBlockBegin, {});
    STOA_CHECK(inside(print));
    if (!print) return raw();
    return {};
  }

  // lstrip_blocks: blanks between the line's start and the tag go, when nothing else stands there.
  void strip_indent(std::string_view& text) const {
    std::size_t end = text.size();
    while (end > 0 && is_space(text[end - 1]) && text[end - 1] != '\n') --end;
    const bool line_start = end > 0 ? text[end - 1] == '\n' : at_ == 0 || source_[at_ - 1] == '\n';
    if (line_start) text = text.substr(0, end);
  }

  void emit_text(std::string_view text) {
    if (!text.empty()) push(TokenKind::kText, std::string(text));
  }

  Status comment() {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) return wrong("a comment has no end");
    const bool trim = end > at_ && source_[end - 1] == '-';
    const bool keep = end > at_ && source_[end - 1] == '+';
    advance(end + 2 - at_);
    after_tag(trim, !keep);
    return {};
  }

  // What a closing tag takes along: all white space after "-", one line break after a block or comment.
  void after_tag(bool trim, bool line_break) {
    std::size_t count = 0;
    if (trim) {
      while (at_ + count < source_.size() && is_space(source_[at_ + count])) ++count;
    } else if (line_break && rest().starts_with('\n')) {
      count = 1;
    }
    advance(count);
  }

  Status inside(bool print) {
    const std::string_view close = print ? "}}" : "%}";
    int brackets = 0;  // "}}" ends a tag only outside of a mapping
    while (true) {
      while (at_ < source_.size() && is_space(source_[at_])) advance(1);
      if (at_ >= source_.size()) return wrong("a tag has no end");
      const char control = rest()[0];
      if (rest().size() >= 3 && (control == '-' || (control == '+' && !print)) && rest().substr(1, 2) == close && brackets == 0) {
        advance(3);
        push(print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, {});
        after_tag(control == '-', false);
        return {};
      }
      if (rest().starts_with(close) && brackets == 0) {
        advance(2);
        push(print ? TokenKind::kPrintEnd : TokenKind::kBlockEnd, {});
        after_tag(false, !print);
        return {};
      }
      STOA_CHECK(expression_token(brackets));
    }
  }

  Status expression_token(int& brackets) {
    const char c = source_[at_];
    if (c == '"' || c == '\'') return string(c);
    if (is_digit(c)) {
      number();
      return {};
    }
    if (is_name(c)) {
      std::size_t count = 0;
      while (count < rest().size() && is_name(rest()[count])) ++count;
      push(TokenKind::kName, std::string(rest().substr(0, count)));
      advance(count);
      return {};
    }
    constexpr std::string_view kSigns[] = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")", "[", "]", "{", "}", ",", ".", ":", "|", ";"};
    for (const auto sign : kSigns) {
      if (!rest().starts_with(sign)) continue;
      if (sign == "(" || sign == "[" || sign == "{") ++brackets;
      if (sign == ")" || sign == "]" || sign == "}") {
        if (brackets == 0) return wrong(fmt::format("'{}' closes nothing", sign));
        --brackets;
      }
      push(TokenKind::kSign, std::string(sign));
      advance(sign.size());
      return {};
    }
    return wrong(fmt::format("unexpected character (byte {:#04x})", static_cast<unsigned char>(c)));
  }

  void number() {
    std::size_t count = 0;
    bool real = false;
    std::string text;
    while (count < rest().size()) {
      const char c = rest()[count];
      const char next = count + 1 < rest().size() ? rest()[count + 1] : '\0';
      const char after = count + 2 < rest().size() ? rest()[count + 2] : '\0';
      const bool exponent = (c == 'e' || c == 'E') && (is_digit(next) || ((next == '+' || next == '-') && is_digit(after)));
      if (c == '.' && !real && is_digit(next)) {
        real = true;
      } else if (exponent && text.find('e') == std::string::npos) {
        real = true;
        text += 'e';
        if (next == '-') text += '-';
        count += is_digit(next) ? 1 : 2;
        continue;
      } else if (c == '_' && is_digit(next)) {
        ++count;
        continue;
      } else if (!is_digit(c)) break;
      text += c;
      ++count;
    }
    push(real ? TokenKind::kReal : TokenKind::kInteger, std::move(text));
    advance(count);
  }

  Status string(char quote) {
    std::string out;
    std::size_t i = 1;
    for (; i < rest().size() && rest()[i] != quote; ++i) {
      if (rest()[i] != '\\' || i + 1 >= rest().size()) {
        out += rest()[i];
        continue;
      }
      const char escaped = rest()[++i];
      switch (escaped) {
        case 'n': out += '\n'; break;
        case 't': out += '\t'; break;
        case 'r': out += '\r'; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'v': out += '\v'; break;
        case 'a': out += '\a'; break;
        case '0': out += '\0'; break;
        case '\n': break;
        case '\\':
        case '\'':
        case '"': out += escaped; break;
        case 'x':
        case 'u':
        case 'U': {
          const std::size_t digits = escaped == 'x' ? 2 : escaped == 'u' ? 4 : 8;
          char32_t rune = 0;
          for (std::size_t d = 0; d < digits; ++d) {
            const char c = ++i < rest().size() ? rest()[i] : '\0';
            const int value = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
            if (value < 0) return wrong(fmt::format("'\\{}' needs {} hexadecimal digits", escaped, digits));
            rune = rune << 4 | static_cast<char32_t>(value);
          }
          if (rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) return wrong("an escape names no character");
          append_rune(out, rune);
          break;
        }
        default: (out += '\\') += escaped;
      }
    }
    if (i >= rest().size()) return wrong("a string has no end");
    push(TokenKind::kString, std::move(out));
    advance(i + 1);
    return {};
  }

  // After {% raw %}, everything up to {% endraw %} is text.
  Status raw() {
    const std::size_t count = tokens_.size();
    if (count < 3 || tokens_[count - 2].text != "raw" || tokens_[count - 2].kind != TokenKind::kName || tokens_[count - 3].kind != TokenKind::kBlockBegin) return {};
    tokens_.resize(count - 3);
    for (std::size_t open = source_.find("{%", at_); open != std::string_view::npos; open = source_.find("{%", open + 2)) {
      std::size_t i = open + 2;
      const bool trim_before = i < source_.size() && source_[i] == '-';
      if (trim_before || (i < source_.size() && source_[i] == '+')) ++i;
      while (i < source_.size() && is_space(source_[i])) ++i;
      if (!source_.substr(i).starts_with("endraw")) continue;
      i += 6;
      while (i < source_.size() && is_space(source_[i])) ++i;
      const bool trim_after = i < source_.size() && source_[i] == '-';
      if (trim_after) ++i;
      if (!source_.substr(i).starts_with("%}")) continue;
      std::string_view text = source_.substr(at_, open - at_);
      if (trim_before) {
        while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
      } else {
        strip_indent(text);
      }
      emit_text(text);
      advance(i + 2 - at_);
      after_tag(trim_after, true);
      return {};
    }
    return wrong("'raw' has no 'endraw'");
  }

  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) {
  if (source.find('\r') == std::string_view::npos) return Lexer(source).run();
  std::string lines;  // "\r\n" and "\r" count as "\n"
  lines.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i)
    if (source[i] != '\r') lines += source[i];
    else if (i + 1 >= source.size() || source[i + 1] != '\n') lines += '\n';
  return Lexer(lines).run();
}

}  // namespace stoa::models::jinja
