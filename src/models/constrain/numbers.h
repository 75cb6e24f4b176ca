// JSON numbers within bounds, as regular languages over their digits.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

// An exact decimal: value = (negative ? -1 : 1) * whole.fraction.
struct Decimal {
  bool negative = false;
  std::string whole = "0";   // without leading zeros
  std::string fraction;      // without trailing zeros

  bool zero() const { return whole == "0" && fraction.empty(); }
};

// nullopt for what has more than 17 digits after the point or 18 before it.
std::optional<Decimal> to_decimal(const Json& number);
// Negative, 0 or positive as a is below, equal to or above b.
int compare(const Decimal& a, const Decimal& b);

struct Bound {
  Decimal value;
  bool exclusive = false;
};

struct NumberRules {
  bool integer = false;
  std::optional<Bound> low, high;
  std::optional<Decimal> multiple_of;  // above 0
};

// The numbers that fit. Without rules: up to 18 digits before the point, 17 after it, an exponent of up to 2 digits; with rules no
// exponent. kInvalidArgument where none fits or the rules cannot be enforced.
Result<NodeId> number_node(Syntax& syntax, const NumberRules& rules);

}  // namespace stoa::models::constrain
