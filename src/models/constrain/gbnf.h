// GBNF, llama.cpp's notation for grammars (EBNF with character classes), read into syntax.
#pragma once

#include <string_view>

#include "base/result.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

// The rule "root". kInvalidArgument names the line.
Result<RuleId> read_gbnf(Syntax& syntax, std::string_view text);

}  // namespace stoa::models::constrain
