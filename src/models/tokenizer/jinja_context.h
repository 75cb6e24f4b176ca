// What a running template may still use, and the arguments of its calls.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "models/tokenizer/chat_template.h"
#include "models/tokenizer/jinja_value.h"

namespace stoa::models::jinja {

// The budget of one run. Everything that makes a string, list or mapping makes it through here.
class Context {
 public:
  Context(const TemplateLimits& limits, Micros now) : limits_(limits), now_(now), steps_(limits.max_steps), bytes_(limits.max_output_bytes * 4) {}

  const TemplateLimits& limits() const { return limits_; }
  TextLimits text_limits() const { return {limits_.max_output_bytes}; }
  Micros now() const { return now_; }
  std::size_t& steps_left() { return steps_; }

  Status step(std::size_t count = 1) {
    if (steps_ < count || steps_ == 0) return fail(ErrorCode::kTooLarge, "the template takes more than {} steps", limits_.max_steps);
    steps_ -= count;
    return {};
  }
  Result<Value> text(std::string value) {
    STOA_CHECK(spend(value.size(), value.size()));
    return Value(std::move(value));
  }
  Result<Value> list(List value, bool tuple = false) {
    STOA_CHECK(spend(value.size() * sizeof(Value), value.size() * sizeof(Value)));
    return shallow(Value(std::move(value), tuple));
  }
  Result<Value> map(Map value, bool is_namespace = false) {
    const std::size_t bytes = value.items.size() * (sizeof(Value) + sizeof(std::string));
    STOA_CHECK(spend(bytes, bytes));
    return shallow(Value(std::move(value), is_namespace));
  }
  // Before making something large: its size, checked.
  Status spend(std::size_t bytes, std::size_t single) {
    if (single > limits_.max_output_bytes || bytes > bytes_) return fail(ErrorCode::kTooLarge, "the template makes values of more than {} bytes", limits_.max_output_bytes);
    bytes_ -= bytes;
    return {};
  }

 private:
  Result<Value> shallow(Value value) const {
    if (value.depth() > limits_.max_depth) return fail(ErrorCode::kTooLarge, "a value is nested deeper than {}", limits_.max_depth);
    return value;
  }
  const TemplateLimits& limits_;
  Micros now_;
  std::size_t steps_;
  std::size_t bytes_;
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;

  // By place or by name; nullptr when not given.
  const Value* get(std::size_t place, std::string_view name) const {
    if (place < positional.size()) return &positional[place];
    for (const auto& [key, value] : named)
      if (key == name) return &value;
    return nullptr;
  }
};

}  // namespace stoa::models::jinja
