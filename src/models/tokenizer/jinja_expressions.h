// The parser of expressions; the one of statements builds on it.
#pragma once

#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "models/tokenizer/jinja_ast.h"
#include "models/tokenizer/jinja_cursor.h"

namespace stoa::models::jinja {

class ExpressionParser : protected Cursor {
 protected:
  using ExpressionPtr = std::unique_ptr<Expression>;
  using Parsed = Result<ExpressionPtr>;
  static constexpr std::size_t kMaxArguments = 64;

  using Cursor::Cursor;

  Parsed expression();
  // a, b, c without brackets; `choose` allows "x if y else z".
  Parsed tuple_or_expression(bool choose = true);

 private:
  ExpressionPtr node(ExpressionKind kind) const;
  // Chains of signs grow a tree without nesting the parser, so the height has a limit of its own.
  Parsed finish(ExpressionPtr out) const;
  template <class... Operands>
  Parsed combine(ExpressionPtr out, Operands... operands) const;
  // One level of operators that all do the same: a flat list of operands.
  template <class Next, class Take>
  Parsed flat(ExpressionKind kind, Next operand, Take take);
  Parsed or_expression();
  Parsed and_expression();
  Parsed not_expression();
  Parsed compare_expression();
  // Left-associative binary signs.
  template <class Next>
  Parsed left(std::initializer_list<std::string_view> signs, Next operand);
  Parsed sum_expression();
  Parsed concat_expression();
  Parsed product_expression();
  Parsed power_expression();
  Parsed unary_expression(bool with_filters);
  Parsed constant(Value value);
  Parsed primary();
  // (a), (a, b), [a, b]
  Parsed brackets(ExpressionKind kind, std::string_view close);
  Parsed mapping();
  Parsed postfix(ExpressionPtr out);
  Parsed attribute(ExpressionPtr of);
  Parsed subscript(ExpressionPtr of);
  // (a, b, name=c), from the bracket on.
  Status arguments(Expression& out);
  Parsed call(ExpressionPtr of);
  Parsed filters(ExpressionPtr out);
  Parsed test(ExpressionPtr of);
};

}  // namespace stoa::models::jinja
