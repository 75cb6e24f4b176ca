#include "models/tokenizer/jinja_expressions.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <string_view>

namespace stoa::models::jinja {

// Loosest binding first.

ExpressionParser::ExpressionPtr ExpressionParser::node(ExpressionKind kind) const {
  auto out = std::make_unique<Expression>();
  out->kind = kind;
  out->line = current().line;
  return out;
}

ExpressionParser::Parsed ExpressionParser::finish(ExpressionPtr out) const {
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
ExpressionParser::Parsed ExpressionParser::combine(ExpressionPtr out, Operands... operands) const {
  (out->operands.push_back(std::move(operands)), ...);
  return finish(std::move(out));
}

ExpressionParser::Parsed ExpressionParser::tuple_or_expression(bool choose) {
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

ExpressionParser::Parsed ExpressionParser::expression() {
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

template <class Next, class Take>
ExpressionParser::Parsed ExpressionParser::flat(ExpressionKind kind, Next operand, Take take) {
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

ExpressionParser::Parsed ExpressionParser::or_expression() {
  return flat(ExpressionKind::kOr, [this] { return and_expression(); }, [this] { return take_name("or"); });
}

ExpressionParser::Parsed ExpressionParser::and_expression() {
  return flat(ExpressionKind::kAnd, [this] { return not_expression(); }, [this] { return take_name("and"); });
}

ExpressionParser::Parsed ExpressionParser::not_expression() {
  const Nested nested(depth_);
  STOA_CHECK(check_depth());
  if (!is_name("not")) return compare_expression();
  auto out = node(ExpressionKind::kNot);
  next();
  STOA_TRY(operand, not_expression());
  return combine(std::move(out), std::move(operand));
}

ExpressionParser::Parsed ExpressionParser::compare_expression() {
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

template <class Next>
ExpressionParser::Parsed ExpressionParser::left(std::initializer_list<std::string_view> signs, Next operand) {
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

ExpressionParser::Parsed ExpressionParser::sum_expression() {
  return left({"+", "-"}, [this] { return concat_expression(); });
}

ExpressionParser::Parsed ExpressionParser::concat_expression() {
  return flat(ExpressionKind::kConcat, [this] { return product_expression(); }, [this] { return take_sign("~"); });
}

ExpressionParser::Parsed ExpressionParser::product_expression() {
  return left({"*", "/", "//", "%"}, [this] { return power_expression(); });
}

ExpressionParser::Parsed ExpressionParser::power_expression() {
  return left({"**"}, [this] { return unary_expression(true); });
}

ExpressionParser::Parsed ExpressionParser::unary_expression(bool with_filters) {
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

ExpressionParser::Parsed ExpressionParser::constant(Value value) {
  auto out = node(ExpressionKind::kConstant);
  out->value = std::move(value);
  next();
  return out;
}

ExpressionParser::Parsed ExpressionParser::primary() {
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

ExpressionParser::Parsed ExpressionParser::brackets(ExpressionKind kind, std::string_view close) {
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

ExpressionParser::Parsed ExpressionParser::mapping() {
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

ExpressionParser::Parsed ExpressionParser::postfix(ExpressionPtr out) {
  while (true) {
    Parsed longer = is_sign(".") ? attribute(std::move(out)) : is_sign("[") ? subscript(std::move(out)) : is_sign("(") ? call(std::move(out)) : Parsed(nullptr);
    if (!longer) return longer;
    if (*longer == nullptr) return out;
    out = std::move(*longer);
  }
}

ExpressionParser::Parsed ExpressionParser::attribute(ExpressionPtr of) {
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

ExpressionParser::Parsed ExpressionParser::subscript(ExpressionPtr of) {
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

Status ExpressionParser::arguments(Expression& out) {
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

ExpressionParser::Parsed ExpressionParser::call(ExpressionPtr of) {
  auto out = node(ExpressionKind::kCall);
  out->operands.push_back(std::move(of));
  STOA_CHECK(arguments(*out));
  return finish(std::move(out));
}

ExpressionParser::Parsed ExpressionParser::filters(ExpressionPtr out) {
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

ExpressionParser::Parsed ExpressionParser::test(ExpressionPtr of) {
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

}  // namespace stoa::models::jinja
