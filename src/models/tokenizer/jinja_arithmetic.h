// Python's arithmetic on numbers, with integers of 64 bits.
#pragma once

#include <string_view>

#include "base/result.h"
#include "models/tokenizer/jinja_value.h"

namespace stoa::models::jinja {

// `sign` is one of + - * / // % **; both values are numbers. Errors: kInvalidArgument (division by zero), kUnsupported (overflow).
Result<Value> arithmetic(std::string_view sign, const Value& left, const Value& right);

}  // namespace stoa::models::jinja
