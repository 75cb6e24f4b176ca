// Tokens to a tree.
#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "models/tokenizer/jinja_ast.h"
#include "models/tokenizer/jinja_lexer.h"

namespace stoa::models::jinja {

// Errors: kInvalidArgument (syntax), kUnsupported (a statement outside of the subset), kTooLarge (nesting); each names the line.
Result<Body> parse(std::vector<Token> tokens, std::size_t max_depth);

}  // namespace stoa::models::jinja
