// A parsed template.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "models/tokenizer/jinja_value.h"

namespace stoa::models::jinja {

enum class ExpressionKind : std::uint8_t {
  kConstant,   // value
  kName,       // name
  kList,       // operands
  kTuple,      // operands
  kMap,        // operands: key, value, key, value ...
  kNegate,     // -operands[0]
  kNot,
  kAnd,        // operands, at least two
  kOr,
  kConcat,     // operands, at least two
  kBinary,     // name is the sign
  kCompare,    // operands[0] names[0] operands[1] names[1] operands[2] ...
  kChoose,     // operands: then, condition, otherwise (may be null)
  kAttribute,  // operands[0].name
  kIndex,      // operands[0][operands[1]]
  kSlice,      // operands[0][operands[1]:operands[2]:operands[3]], the last three may be null
  kCall,       // operands[0](operands[1]..., named)
  kFilter,     // operands[0]|name(operands[1]..., named)
  kTest,       // operands[0] is name(operands[1]...)
};

struct Expression {
  ExpressionKind kind = ExpressionKind::kConstant;
  int line = 0;
  int height = 1;  // of the tree below, which bounds the recursion over it
  std::string name;
  std::vector<std::string> names;
  Value value;
  std::vector<std::unique_ptr<Expression>> operands;
  std::vector<std::pair<std::string, std::unique_ptr<Expression>>> named;
};

enum class StatementKind : std::uint8_t {
  kText,      // text
  kPrint,     // value
  kIf,        // bodies[i] under conditions[i]; one body more is the else
  kFor,       // names in value (if conditions[0]): bodies[0], else bodies[1] (may be absent)
  kSet,       // names = value, or names[0].text = value for a namespace
  kSetBlock,  // names[0] = what bodies[0] prints
  kMacro,     // text(names = conditions...): bodies[0]; defaults stand at the end, null for none
  kGroup,     // bodies[0], as it stands
  kBreak,
  kContinue,
};

struct Statement;
using Body = std::vector<std::unique_ptr<Statement>>;

struct Statement {
  StatementKind kind = StatementKind::kText;
  int line = 0;
  std::string text;
  std::vector<std::string> names;
  std::unique_ptr<Expression> value;
  std::vector<std::unique_ptr<Expression>> conditions;
  std::vector<Body> bodies;
};

}  // namespace stoa::models::jinja
