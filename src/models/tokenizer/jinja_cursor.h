// A place in a token stream, and the depth of what is being parsed there: the ground of the template parsers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "models/tokenizer/jinja_lexer.h"

namespace stoa::models::jinja {

class Cursor {
 protected:
  Cursor(std::vector<Token> tokens, std::size_t max_depth) : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  void next() {
    if (at_ + 1 < tokens_.size()) ++at_;
  }
  bool is(TokenKind kind, std::string_view text) const { return current().kind == kind && current().text == text; }
  bool is_sign(std::string_view text) const { return is(TokenKind::kSign, text); }
  bool is_name(std::string_view text) const { return is(TokenKind::kName, text); }
  bool take_sign(std::string_view text) {
    if (!is_sign(text)) return false;
    next();
    return true;
  }
  bool take_name(std::string_view text) {
    if (!is_name(text)) return false;
    next();
    return true;
  }
  std::unexpected<Error> wrong(std::string_view what) const { return fail(ErrorCode::kInvalidArgument, "template line {}: {}", current().line, what); }
  std::unexpected<Error> expected(std::string_view what) const {
    const std::string_view seen = current().kind == TokenKind::kEnd ? "the end" : current().text.empty() ? "the tag's end" : std::string_view(current().text);
    return wrong(fmt::format("expected {}, found {}", what, seen.substr(0, 60)));
  }
  Status expect_sign(std::string_view text) {
    if (!take_sign(text)) return expected(fmt::format("'{}'", text));
    return {};
  }
  Result<std::string> expect_name() {
    if (current().kind != TokenKind::kName) return expected("a name");
    std::string name = current().text;
    next();
    return name;
  }
  Status block_end() {
    if (current().kind != TokenKind::kBlockEnd) return expected("the tag's end");
    next();
    return {};
  }

  // Counts nesting while a construct is parsed.
  struct Nested {
    explicit Nested(std::size_t& depth) : depth_(depth) { ++depth_; }
    ~Nested() { --depth_; }
    std::size_t& depth_;
  };
  Status check_depth() const {
    if (depth_ > max_depth_) return fail(ErrorCode::kTooLarge, "template line {}: nested deeper than {}", current().line, max_depth_);
    return {};
  }

  std::vector<Token> tokens_;  // the last one is kEnd
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  const std::size_t max_depth_;
};

}  // namespace stoa::models::jinja
