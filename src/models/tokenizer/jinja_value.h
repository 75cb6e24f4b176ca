// Values of the template language: what Jinja's Python objects are, as far as chat templates see them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace stoa::models::jinja {

class Value;
using List = std::vector<Value>;

// Keys are strings and keep the order of insertion. Templates' mappings are small, so look-up walks.
struct Map {
  std::vector<std::pair<std::string, Value>> items;
  const Value* find(std::string_view key) const;
  Value& at(std::string_view key);  // inserts an undefined value when absent
};

struct Undefined {
  std::string name;  // what was asked for, for errors
  bool operator==(const Undefined&) const { return true; }
};
struct None {
  bool operator==(const None&) const = default;
};

struct Statement;

// Something callable: a macro of the template, or a built-in function by name.
struct Callable {
  std::string name;
  const Statement* macro = nullptr;
};

// Cheap to copy: strings, lists and maps are shared, and immutable but for namespace objects. Nothing may hold a namespace object
// but a variable: values then form no cycles, and depth() bounds every walk over one.
class Value {
 public:
  Value() : data_(Undefined{}) {}
  Value(None) : data_(None{}) {}
  Value(bool value) : data_(value) {}
  Value(std::int64_t value) : data_(value) {}
  Value(double value) : data_(value) {}
  Value(std::string value) : data_(std::make_shared<const std::string>(std::move(value))) {}
  Value(List value, bool tuple = false);
  Value(Map value, bool is_namespace = false);
  Value(Callable value) : data_(std::make_shared<const Callable>(std::move(value))) {}
  static Value undefined(std::string name) {
    Value out;
    out.data_ = Undefined{std::move(name)};
    return out;
  }

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  const bool* boolean() const { return std::get_if<bool>(&data_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&data_); }
  const double* real() const { return std::get_if<double>(&data_); }
  const std::string* string() const { return pointer<const std::string>(); }
  const List* list() const { return pointer<const List>(); }
  Map* map() const { return pointer<Map>(); }
  const Callable* callable() const { return pointer<const Callable>(); }
  const Undefined* as_undefined() const { return std::get_if<Undefined>(&data_); }
  bool is_number() const { return integer() != nullptr || real() != nullptr || boolean() != nullptr; }
  bool is_tuple() const { return tuple_; }
  bool is_namespace() const { return namespace_; }
  std::uint32_t depth() const { return depth_; }  // 0: holds no other values

  bool truthy() const;
  // Of numbers and booleans; 0 otherwise.
  double as_real() const;
  std::int64_t as_integer() const;
  std::string_view type_name() const;

 private:
  template <class T>
  T* pointer() const {
    const auto* held = std::get_if<std::shared_ptr<T>>(&data_);
    return held == nullptr ? nullptr : held->get();
  }
  std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const std::string>, std::shared_ptr<const List>, std::shared_ptr<Map>, std::shared_ptr<const Callable>>
      data_;
  std::uint32_t depth_ = 0;
  bool tuple_ = false;
  bool namespace_ = false;
};

// How much text a value may make.
struct TextLimits {
  std::size_t max_bytes = 0;
};

// Python's ==. `steps` is what may still be compared: values share parts, so that a small one can be long to walk. The answer
// means nothing once it has come down to 0.
bool equal(const Value& a, const Value& b, std::size_t& steps);
// Python's < for numbers, strings and lists of them; kInvalidArgument for what has no order.
Result<bool> less(const Value& a, const Value& b, std::size_t& steps);
// What {{ value }} prints: strings as they are, the rest as Python's str(). Errors: kTooLarge.
Status append_text(const Value& value, const TextLimits& limits, std::string& out);
// JSON as json.dumps writes it, characters outside of ASCII as they are; indent < 0: on one line. Errors: kTooLarge, kInvalidArgument.
Status append_json(const Value& value, const TextLimits& limits, int indent, std::string& out);
Value from_json(const Json& json);

}  // namespace stoa::models::jinja
