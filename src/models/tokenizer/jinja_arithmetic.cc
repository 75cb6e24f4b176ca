#include "models/tokenizer/jinja_arithmetic.h"

#include <cmath>
#include <cstdint>

namespace stoa::models::jinja {
namespace {

std::unexpected<Error> by_zero() { return fail(ErrorCode::kInvalidArgument, "division by zero"); }
Result<Value> overflow() { return fail(ErrorCode::kUnsupported, "an integer exceeds 64 bits"); }

Result<Value> integer_arithmetic(std::string_view sign, std::int64_t a, std::int64_t b) {
  std::int64_t out = 0;
  if (sign == "+") return __builtin_add_overflow(a, b, &out) ? overflow() : Result<Value>(out);
  if (sign == "-") return __builtin_sub_overflow(a, b, &out) ? overflow() : Result<Value>(out);
  if (sign == "*") return __builtin_mul_overflow(a, b, &out) ? overflow() : Result<Value>(out);
  if (sign == "**") {
    if (b < 0) return std::pow(static_cast<double>(a), static_cast<double>(b));
    out = 1;
    if (a == 0 || a == 1) return b == 0 ? std::int64_t{1} : a;
    if (a == -1) return b % 2 == 0 ? std::int64_t{1} : std::int64_t{-1};
    for (; b > 0; --b)
      if (__builtin_mul_overflow(out, a, &out)) return overflow();
    return out;
  }
  if (b == 0) return by_zero();
  if (sign == "/") return static_cast<double>(a) / static_cast<double>(b);
  if (b == -1) return sign == "%" ? Result<Value>(std::int64_t{0}) : __builtin_sub_overflow(std::int64_t{0}, a, &out) ? overflow() : Result<Value>(out);
  // Python rounds the quotient down, and the remainder takes the divisor's sign.
  const std::int64_t quotient = a / b, remainder = a % b;
  const bool lower = remainder != 0 && (remainder < 0) != (b < 0);
  return sign == "//" ? quotient - (lower ? 1 : 0) : remainder + (lower ? b : 0);
}

Result<Value> real_arithmetic(std::string_view sign, double a, double b) {
  if (sign == "+") return a + b;
  if (sign == "-") return a - b;
  if (sign == "*") return a * b;
  if (sign == "**") return std::pow(a, b);
  if (b == 0) return by_zero();
  if (sign == "/") return a / b;
  if (sign == "//") return std::floor(a / b);
  const double remainder = std::fmod(a, b);
  return remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

}  // namespace

Result<Value> arithmetic(std::string_view sign, const Value& left, const Value& right) {
  if (left.real() != nullptr || right.real() != nullptr) return real_arithmetic(sign, left.as_real(), right.as_real());
  return integer_arithmetic(sign, left.as_integer(), right.as_integer());
}

}  // namespace stoa::models::jinja
