// JSON as text without values in between, for what is written with every request. Nothing is checked: whoever writes sees to it that what is opened is
// closed, and that members have names.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace stoa {

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  // Its value follows.
  JsonWriter& key(std::string_view name);
  // Text in UTF-8; what is none becomes U+FFFD.
  JsonWriter& text(std::string_view text);
  JsonWriter& number(std::int64_t value);
  JsonWriter& real(double value);  // null where it is not finite
  JsonWriter& flag(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& null() { return raw("null"); }
  JsonWriter& raw(std::string_view json);  // a value that is JSON already

  // A member: text, an integer, a double or a truth value.
  template <class Value>
  JsonWriter& member(std::string_view name, const Value& value) {
    key(name);
    if constexpr (std::same_as<Value, bool>) return flag(value);
    else if constexpr (std::integral<Value>) return number(static_cast<std::int64_t>(value));
    else if constexpr (std::floating_point<Value>) return real(value);
    else return text(value);
  }

 private:
  JsonWriter& open(char bracket) {
    before();
    out_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    first_ = false;
    return *this;
  }
  void before() {
    if (!first_) out_ += ',';
    first_ = false;
  }

  std::string& out_;
  bool first_ = true;  // of what is open, or right behind a name: no comma
};

}  // namespace stoa
