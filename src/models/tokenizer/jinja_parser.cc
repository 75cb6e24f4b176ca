#include "models/tokenizer/jinja_parser.h"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "models/tokenizer/jinja_expressions.h"

namespace stoa::models::jinja {
namespace {

class Parser : private ExpressionParser {
 public:
  Parser(std::vector<Token> tokens, std::size_t max_depth) : ExpressionParser(std::move(tokens), max_depth) {}

  Result<Body> run() {
    STOA_TRY(body, statements({}));
    if (current().kind != TokenKind::kEnd) return wrong(fmt::format("'{}' has nothing to end", current().text));
    return std::move(body);
  }

 private:
  // Up to a block tag whose name is in `ends` (left standing at the name), or the end of the source.
  Result<Body> statements(std::initializer_list<std::string_view> ends) {
    const Nested nested(depth_);
    STOA_CHECK(check_depth());
    Body body;
    while (current().kind != TokenKind::kEnd) {
      if (current().kind == TokenKind::kText) {
        auto text = make(StatementKind::kText);
        text->text = current().text;
        next();
        body.push_back(std::move(text));
      } else if (current().kind == TokenKind::kPrintBegin) {
        auto print = make(StatementKind::kPrint);
        next();
        STOA_TRY(value, tuple_or_expression());
        print->value = std::move(value);
        if (current().kind != TokenKind::kPrintEnd) return expected("'}}'");
        next();
        body.push_back(std::move(print));
      } else {
        next();  // the tag's opening
        if (std::ranges::find(ends, std::string_view(current().text)) != ends.end()) return body;
        STOA_TRY(tag, statement());
        body.push_back(std::move(tag));
      }
    }
    if (ends.size() > 0) return wrong(fmt::format("'{}' is missing", *(ends.end() - 1)));
    return body;
  }

  std::unique_ptr<Statement> make(StatementKind kind) const {
    auto out = std::make_unique<Statement>();
    out->kind = kind;
    out->line = current().line;
    return out;
  }

  Result<std::unique_ptr<Statement>> statement() {
    const std::string tag = current().text;
    if (tag == "if") return if_statement();
    if (tag == "for") return for_statement();
    if (tag == "set") return set_statement();
    if (tag == "macro") return macro_statement();
    if (tag == "break" || tag == "continue") {
      auto out = make(tag == "break" ? StatementKind::kBreak : StatementKind::kContinue);
      if (loops_ == 0) return wrong(fmt::format("'{}' outside of a loop", tag));
      next();
      STOA_CHECK(block_end());
      return out;
    }
    if (tag == "generation") {  // Hugging Face marks the assistant's own text for training with it
      auto out = make(StatementKind::kGroup);
      next();
      STOA_CHECK(block_end());
      STOA_TRY(body, statements({"endgeneration"}));
      next();
      STOA_CHECK(block_end());
      out->bodies.push_back(std::move(body));
      return out;
    }
    return fail(ErrorCode::kUnsupported, "template line {}: the tag '{}' is not supported", current().line, tag.substr(0, 60));
  }

  Result<std::unique_ptr<Statement>> if_statement() {
    auto out = make(StatementKind::kIf);
    while (true) {
      const bool is_else = is_name("else");
      next();  // if, elif or else
      if (!is_else) {
        STOA_TRY(condition, tuple_or_expression());
        out->conditions.push_back(std::move(condition));
      }
      STOA_CHECK(block_end());
      auto body = is_else ? statements({"endif"}) : statements({"elif", "else", "endif"});
      if (!body) return fail(std::move(body).error());
      out->bodies.push_back(std::move(*body));
      if (is_name("endif")) break;
    }
    next();
    STOA_CHECK(block_end());
    return out;
  }

  Result<std::vector<std::string>> targets() {
    std::vector<std::string> names;
    const bool bracket = take_sign("(");
    do {
      if (is_name("in") || is_sign(")")) break;
      STOA_TRY(name, expect_name());
      names.push_back(std::move(name));
    } while (take_sign(",") && names.size() < kMaxArguments);
    if (bracket) STOA_CHECK(expect_sign(")"));
    return names;
  }

  Result<std::unique_ptr<Statement>> for_statement() {
    auto out = make(StatementKind::kFor);
    next();
    STOA_TRY(names, targets());
    out->names = std::move(names);
    if (!take_name("in")) return expected("'in'");
    STOA_TRY(value, tuple_or_expression(false));
    out->value = std::move(value);
    if (take_name("if")) {
      STOA_TRY(condition, expression());
      out->conditions.push_back(std::move(condition));
    }
    if (is_name("recursive")) return fail(ErrorCode::kUnsupported, "template line {}: recursive loops are not supported", current().line);
    STOA_CHECK(block_end());
    ++loops_;
    auto body = statements({"else", "endfor"});
    --loops_;
    if (!body) return fail(std::move(body).error());
    out->bodies.push_back(std::move(*body));
    if (take_name("else")) {
      STOA_CHECK(block_end());
      STOA_TRY(otherwise, statements({"endfor"}));
      out->bodies.push_back(std::move(otherwise));
    }
    next();
    STOA_CHECK(block_end());
    return out;
  }

  Result<std::unique_ptr<Statement>> set_statement() {
    auto out = make(StatementKind::kSet);
    next();
    STOA_TRY(names, targets());
    out->names = std::move(names);
    if (out->names.empty()) return expected("a name");
    if (out->names.size() == 1 && take_sign(".")) {
      STOA_TRY(member, expect_name());
      out->text = std::move(member);
    }
    if (take_sign("=")) {
      STOA_TRY(value, tuple_or_expression());
      out->value = std::move(value);
      STOA_CHECK(block_end());
      return out;
    }
    if (!out->text.empty() || out->names.size() > 1) return expected("'='");
    out->kind = StatementKind::kSetBlock;
    STOA_CHECK(block_end());
    STOA_TRY(body, statements({"endset"}));
    next();
    STOA_CHECK(block_end());
    out->bodies.push_back(std::move(body));
    return out;
  }

  Result<std::unique_ptr<Statement>> macro_statement() {
    auto out = make(StatementKind::kMacro);
    next();
    STOA_TRY(name, expect_name());
    out->text = std::move(name);
    STOA_CHECK(expect_sign("("));
    while (!is_sign(")") && out->names.size() < kMaxArguments) {
      STOA_TRY(parameter, expect_name());
      out->names.push_back(std::move(parameter));
      ExpressionPtr fallback;
      if (take_sign("=")) {
        STOA_TRY(value, expression());
        fallback = std::move(value);
      }
      out->conditions.push_back(std::move(fallback));
      if (!take_sign(",")) break;
    }
    STOA_CHECK(expect_sign(")"));
    STOA_CHECK(block_end());
    const std::size_t loops = std::exchange(loops_, 0);
    auto body = statements({"endmacro"});
    loops_ = loops;
    if (!body) return fail(std::move(body).error());
    out->bodies.push_back(std::move(*body));
    next();
    STOA_CHECK(block_end());
    return out;
  }

  std::size_t loops_ = 0;
};

}  // namespace

Result<Body> parse(std::vector<Token> tokens, std::size_t max_depth) { return Parser(std::move(tokens), max_depth).run(); }

}  // namespace stoa::models::jinja
