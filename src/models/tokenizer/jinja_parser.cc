#include "models/tokenizer/jinja_parser.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string_view>

namespace stoa::models::jinja {
namespace {

using ExpressionPtr = std::unique_ptr<Expression>;
using Parsed = Result<ExpressionPtr>;

constexpr std::size_t kMaxArguments = 64;

class Parser {
 public:
  Parser(std::vector<Token> tokens, std::size_t max_depth) : tokens_(std::move(tokens)), max_depth_(max_depth) {}

  Result<Body> run() {
    STOA_TRY(body, statements({}));
    if (current().kind != TokenKind::kEnd) return wrong(fmt::format("'{}' has nothing to end", current().text));
    return std::move(body);
  }

 private:
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

  // --- statements

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

  // --- expressions, loosest binding first

  ExpressionPtr node(ExpressionKind kind) const {
    auto out = std::make_unique<Expression>();
    out->kind = kind;
    out->line = current().line;
    return out;
  }
  // Chains of signs grow a tree without nesting the parser, so the height has a limit of its own.
  Parsed finish(ExpressionPtr out) const {
    const auto raise = [&](const ExpressionPtr& part) {
      if (part != nullptr) out->height = std::max(out->height, part->height + 1);
    };
    for (const auto& operand : out->operands) raise(operand);
    for (const auto& [name, operand] : out->named) raise(operand);
    if (static_cast<std::size_t>(out->height) > 2 * max_depth_)
      return fail(ErrorCode::kTooLarge, "template line {}: an expression is nested deeper than {}", out->line, 2 * max_depth_);
    return out;
  }
  template <class... Operands>
  Parsed combine(ExpressionPtr out, Operands... operands) const {
    (out->operands.push_back(std::move(operands)), ...);
    return finish(std::move(out));
  }

  // a, b, c without brackets; `choose` allows "x if y else z".
  Parsed tuple_or_expression(bool choose = true) {
    auto first = choose ? expression() : or_expression();
    if (!first || !is_sign(",")) return first;
    auto out = node(ExpressionKind::kTuple);
    out->operands.push_back(std::move(*first));
    while (take_sign(",")) {
      if (current().kind == TokenKind::kPrintEnd || current().kind == TokenKind::kBlockEnd) break;
      STOA_TRY(item, choose ? expression() : or_expression());
      out->operands.push_back(std::move(item));
    }
    return finish(std::move(out));
  }

  Parsed expression() {
    const Nested nested(depth_);
    STOA_CHECK(check_depth());
    STOA_TRY(value, or_expression());
    ExpressionPtr out = std::move(value);
    while (is_name("if")) {
      auto choose = node(ExpressionKind::kChoose);
      next();
      STOA_TRY(condition, or_expression());
      ExpressionPtr otherwise;
      if (take_name("else")) {
        STOA_TRY(alternative, expression());
        otherwise = std::move(alternative);
      }
      STOA_TRY(combined, combine(std::move(choose), std::move(out), std::move(condition), std::move(otherwise)));
      out = std::move(combined);
    }
    return out;
  }

  // One level of operators that all do the same: a flat list of operands.
  template <class Next, class Take>
  Parsed flat(ExpressionKind kind, Next operand, Take take) {
    STOA_TRY(first, operand());
    auto out = node(kind);
    out->operands.push_back(std::move(first));
    while (take()) {
      STOA_TRY(another, operand());
      out->operands.push_back(std::move(another));
    }
    if (out->operands.size() == 1) return std::move(out->operands[0]);
    return finish(std::move(out));
  }
  Parsed or_expression() {
    return flat(ExpressionKind::kOr, [this] { return and_expression(); }, [this] { return take_name("or"); });
  }
  Parsed and_expression() {
    return flat(ExpressionKind::kAnd, [this] { return not_expression(); }, [this] { return take_name("and"); });
  }
  Parsed not_expression() {
    const Nested nested(depth_);
    STOA_CHECK(check_depth());
    if (!is_name("not")) return compare_expression();
    auto out = node(ExpressionKind::kNot);
    next();
    STOA_TRY(operand, not_expression());
    return combine(std::move(out), std::move(operand));
  }
  Parsed compare_expression() {
    auto out = node(ExpressionKind::kCompare);
    STOA_TRY(first, sum_expression());
    out->operands.push_back(std::move(first));
    while (true) {
      std::string sign;
      for (const auto known : {"==", "!=", "<=", ">=", "<", ">"})
        if (is_sign(known)) sign = known;
      if (is_name("in")) sign = "in";
      if (is_name("not") && ahead().kind == TokenKind::kName && ahead().text == "in") {
        sign = "not in";
        next();
      }
      if (sign.empty()) break;
      next();
      STOA_TRY(operand, sum_expression());
      out->names.push_back(sign);
      out->operands.push_back(std::move(operand));
    }
    if (out->names.empty()) return std::move(out->operands[0]);
    return finish(std::move(out));
  }
  // Left-associative binary signs.
  template <class Next>
  Parsed left(std::initializer_list<std::string_view> signs, Next operand) {
    STOA_TRY(first, operand());
    ExpressionPtr out = std::move(first);
    while (current().kind == TokenKind::kSign && std::ranges::find(signs, std::string_view(current().text)) != signs.end()) {
      auto binary = node(ExpressionKind::kBinary);
      binary->name = current().text;
      next();
      STOA_TRY(second, operand());
      STOA_TRY(combined, combine(std::move(binary), std::move(out), std::move(second)));
      out = std::move(combined);
    }
    return out;
  }
  Parsed sum_expression() {
    return left({"+", "-"}, [this] { return concat_expression(); });
  }
  Parsed concat_expression() {
    return flat(ExpressionKind::kConcat, [this] { return product_expression(); }, [this] { return take_sign("~"); });
  }
  Parsed product_expression() {
    return left({"*", "/", "//", "%"}, [this] { return power_expression(); });
  }
  Parsed power_expression() {
    return left({"**"}, [this] { return unary_expression(true); });
  }
  Parsed unary_expression(bool with_filters) {
    const Nested nested(depth_);
    STOA_CHECK(check_depth());
    ExpressionPtr out;
    if (is_sign("-") || is_sign("+")) {
      const bool negate = is_sign("-");
      auto unary = node(ExpressionKind::kNegate);
      next();
      STOA_TRY(operand, unary_expression(false));
      if (negate) {
        STOA_TRY(combined, combine(std::move(unary), std::move(operand)));
        out = std::move(combined);
      } else {
        out = std::move(operand);
      }
    } else {
      STOA_TRY(primary_value, primary());
      STOA_TRY(extended, postfix(std::move(primary_value)));
      out = std::move(extended);
    }
    return with_filters ? filters(std::move(out)) : Parsed(std::move(out));
  }

  Parsed constant(Value value) {
    auto out = node(ExpressionKind::kConstant);
    out->value = std::move(value);
    next();
    return out;
  }

  Parsed primary() {
    const Token& token = current();
    switch (token.kind) {
      case TokenKind::kString: {
        std::string text = token.text;
        while (ahead().kind == TokenKind::kString) {  // neighbours join
          next();
          text += current().text;
        }
        return constant(std::move(text));
      }
      case TokenKind::kInteger: {
        std::int64_t value = 0;
        if (std::from_chars(token.text.data(), token.text.data() + token.text.size(), value).ec != std::errc()) return wrong(fmt::format("the number {} is too large", token.text.substr(0, 40)));
        return constant(value);
      }
      case TokenKind::kReal: {
        double value = 0;
        std::from_chars(token.text.data(), token.text.data() + token.text.size(), value);
        return constant(value);
      }
      case TokenKind::kName: {
        if (token.text == "true" || token.text == "True") return constant(true);
        if (token.text == "false" || token.text == "False") return constant(false);
        if (token.text == "none" || token.text == "None") return constant(None{});
        auto out = node(ExpressionKind::kName);
        out->name = token.text;
        next();
        return out;
      }
      case TokenKind::kSign:
        if (token.text == "(") return brackets(ExpressionKind::kTuple, ")");
        if (token.text == "[") return brackets(ExpressionKind::kList, "]");
        if (token.text == "{") return mapping();
        break;
      default: break;
    }
    return expected("a value");
  }

  // (a), (a, b), [a, b]
  Parsed brackets(ExpressionKind kind, std::string_view close) {
    auto out = node(kind);
    next();
    bool comma = false;
    while (!is_sign(close)) {
      STOA_TRY(item, expression());
      out->operands.push_back(std::move(item));
      if (!take_sign(",")) break;
      comma = true;
    }
    STOA_CHECK(expect_sign(close));
    if (kind == ExpressionKind::kTuple && out->operands.size() == 1 && !comma) return std::move(out->operands[0]);
    return finish(std::move(out));
  }

  Parsed mapping() {
    auto out = node(ExpressionKind::kMap);
    next();
    while (!is_sign("}")) {
      STOA_TRY(key, expression());
      STOA_CHECK(expect_sign(":"));
      STOA_TRY(value, expression());
      out->operands.push_back(std::move(key));
      out->operands.push_back(std::move(value));
      if (!take_sign(",")) break;
    }
    STOA_CHECK(expect_sign("}"));
    return finish(std::move(out));
  }

  Parsed postfix(ExpressionPtr out) {
    while (true) {
      Parsed longer = is_sign(".") ? attribute(std::move(out)) : is_sign("[") ? subscript(std::move(out)) : is_sign("(") ? call(std::move(out)) : Parsed(nullptr);
      if (!longer) return longer;
      if (*longer == nullptr) return out;
      out = std::move(*longer);
    }
  }

  Parsed attribute(ExpressionPtr of) {
    auto out = node(ExpressionKind::kAttribute);
    next();
    if (current().kind == TokenKind::kInteger) {  // x.0 is x[0]
      out->kind = ExpressionKind::kIndex;
      STOA_TRY(index, primary());
      return combine(std::move(out), std::move(of), std::move(index));
    }
    STOA_TRY(name, expect_name());
    out->name = std::move(name);
    return combine(std::move(out), std::move(of));
  }

  Parsed subscript(ExpressionPtr of) {
    auto out = node(ExpressionKind::kIndex);
    next();
    std::vector<ExpressionPtr> parts(1);
    while (!is_sign("]") && parts.size() <= 3) {
      if (take_sign(":")) {
        out->kind = ExpressionKind::kSlice;
        parts.emplace_back();
        continue;
      }
      if (parts.back() != nullptr) break;
      STOA_TRY(part, expression());
      parts.back() = std::move(part);
    }
    STOA_CHECK(expect_sign("]"));
    if (out->kind == ExpressionKind::kIndex && parts[0] == nullptr) return wrong("an index is missing");
    if (out->kind == ExpressionKind::kSlice) parts.resize(3);
    out->operands.push_back(std::move(of));
    for (auto& part : parts) out->operands.push_back(std::move(part));
    return finish(std::move(out));
  }

  // (a, b, name=c), from the bracket on.
  Status arguments(Expression& out) {
    STOA_CHECK(expect_sign("("));
    while (!is_sign(")")) {
      if (out.operands.size() + out.named.size() > kMaxArguments) return wrong("too many arguments");
      if (is_sign("*") || is_sign("**")) return fail(ErrorCode::kUnsupported, "template line {}: '{}' in arguments is not supported", current().line, current().text);
      if (current().kind == TokenKind::kName && ahead().kind == TokenKind::kSign && ahead().text == "=") {
        std::string name = current().text;
        next();
        next();
        STOA_TRY(value, expression());
        out.named.emplace_back(std::move(name), std::move(value));
      } else {
        STOA_TRY(value, expression());
        out.operands.push_back(std::move(value));
      }
      if (!take_sign(",")) break;
    }
    return expect_sign(")");
  }

  Parsed call(ExpressionPtr of) {
    auto out = node(ExpressionKind::kCall);
    out->operands.push_back(std::move(of));
    STOA_CHECK(arguments(*out));
    return finish(std::move(out));
  }

  Parsed filters(ExpressionPtr out) {
    while (true) {
      if (is_sign("|")) {
        auto filter = node(ExpressionKind::kFilter);
        next();
        STOA_TRY(name, expect_name());
        filter->name = std::move(name);
        filter->operands.push_back(std::move(out));
        if (is_sign("(")) STOA_CHECK(arguments(*filter));
        STOA_TRY(finished, finish(std::move(filter)));
        out = std::move(finished);
      } else if (is_name("is")) {
        STOA_TRY(tested, test(std::move(out)));
        out = std::move(tested);
      } else if (is_sign("(")) {
        STOA_TRY(called, call(std::move(out)));
        out = std::move(called);
      } else {
        return out;
      }
    }
  }

  Parsed test(ExpressionPtr of) {
    auto out = node(ExpressionKind::kTest);
    next();
    const bool negate = take_name("not");
    STOA_TRY(name, expect_name());
    out->name = std::move(name);
    out->operands.push_back(std::move(of));
    const bool operand = current().kind == TokenKind::kString || current().kind == TokenKind::kInteger || current().kind == TokenKind::kReal || is_sign("[") || is_sign("{") ||
                         (current().kind == TokenKind::kName && !is_name("else") && !is_name("or") && !is_name("and") && !is_name("if") && !is_name("is") && !is_name("in") && !is_name("not"));
    if (is_sign("(")) {
      STOA_CHECK(arguments(*out));
    } else if (operand) {
      STOA_TRY(argument, primary());
      STOA_TRY(extended, postfix(std::move(argument)));
      out->operands.push_back(std::move(extended));
    }
    auto finished = finish(std::move(out));
    if (!finished || !negate) return finished;
    return combine(node(ExpressionKind::kNot), std::move(*finished));
  }

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  std::size_t depth_ = 0;
  std::size_t loops_ = 0;
  const std::size_t max_depth_;
};

}  // namespace

Result<Body> parse(std::vector<Token> tokens, std::size_t max_depth) { return Parser(std::move(tokens), max_depth).run(); }

}  // namespace stoa::models::jinja
