#include "models/tokenizer/jinja_value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace stoa::models::jinja {
namespace {

Status room(const TextLimits& limits, const std::string& out) {
  if (out.size() > limits.max_bytes) return fail(ErrorCode::kTooLarge, "the text exceeds {} bytes", limits.max_bytes);
  return {};
}

// repr() of a float: the shortest text that reads back, always recognisable as a float.
std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  char buffer[64];
  const double magnitude = std::abs(value);
  const bool plain = magnitude == 0 || (magnitude >= 1e-4 && magnitude < 1e16);
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, plain ? std::chars_format::fixed : std::chars_format::scientific).ptr;
  std::string text(buffer, end);
  if (plain && text.find('.') == std::string::npos) text += ".0";
  return text;
}

void append_quoted(std::string_view text, std::string& out) {
  const char quote = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos ? '"' : '\'';
  out += quote;
  for (const char c : text) {
    if (c == '\\' || c == quote) (out += '\\') += c;
    else if (c == '\n') out += "\\n";
    else if (c == '\r') out += "\\r";
    else if (c == '\t') out += "\\t";
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else out += c;
  }
  out += quote;
}

void append_json_string(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        else out += c;
    }
  }
  out += '"';
}

Status append_repr(const Value& value, const TextLimits& limits, std::size_t depth, std::string& out) {
  STOA_CHECK(room(limits, out));
  if (const auto* text = value.string()) {
    append_quoted(*text, out);
  } else if (value.is_undefined()) {
    if (depth > 0) out += "Undefined";
  } else if (value.is_none()) {
    out += "None";
  } else if (const auto* flag = value.boolean()) {
    out += *flag ? "True" : "False";
  } else if (const auto* number = value.integer()) {
    out += std::to_string(*number);
  } else if (const auto* real = value.real()) {
    out += real_text(*real);
  } else if (const auto* list = value.list()) {
    out += value.is_tuple() ? '(' : '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += ", ";
      STOA_CHECK(append_repr((*list)[i], limits, depth + 1, out));
    }
    if (value.is_tuple() && list->size() == 1) out += ',';
    out += value.is_tuple() ? ')' : ']';
  } else if (const auto* map = value.map()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : map->items) {
      if (!first) out += ", ";
      first = false;
      append_quoted(key, out);
      out += ": ";
      STOA_CHECK(append_repr(item, limits, depth + 1, out));
    }
    out += '}';
  } else if (const auto* callable = value.callable()) {
    out += "<function " + callable->name + ">";
  }
  return {};
}

Status append_json_at(const Value& value, const TextLimits& limits, int indent, std::size_t depth, std::string& out) {
  STOA_CHECK(room(limits, out));
  const auto line = [&](std::size_t level) {
    if (indent < 0) return;
    out += '\n';
    out.append(level * static_cast<std::size_t>(indent), ' ');
  };
  const std::string_view comma = indent < 0 ? ", " : ",";
  if (const auto* text = value.string()) {
    append_json_string(*text, out);
  } else if (value.is_none()) {
    out += "null";
  } else if (const auto* flag = value.boolean()) {
    out += *flag ? "true" : "false";
  } else if (const auto* number = value.integer()) {
    out += std::to_string(*number);
  } else if (const auto* real = value.real()) {
    out += std::isnan(*real) ? "NaN" : std::isinf(*real) ? (*real < 0 ? "-Infinity" : "Infinity") : real_text(*real);
  } else if (const auto* list = value.list()) {
    out += '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += comma;
      line(depth + 1);
      STOA_CHECK(append_json_at((*list)[i], limits, indent, depth + 1, out));
    }
    if (!list->empty()) line(depth);
    out += ']';
  } else if (const auto* map = value.map()) {
    out += '{';
    bool first = true;
    for (const auto& [key, item] : map->items) {
      if (!first) out += comma;
      first = false;
      line(depth + 1);
      append_json_string(key, out);
      out += ": ";
      STOA_CHECK(append_json_at(item, limits, indent, depth + 1, out));
    }
    if (!first) line(depth);
    out += '}';
  } else {
    return fail(ErrorCode::kInvalidArgument, "tojson of {} is not possible", value.type_name());
  }
  return {};
}

}  // namespace

const Value* Map::find(std::string_view key) const {
  for (const auto& item : items)
    if (item.first == key) return &item.second;
  return nullptr;
}

Value& Map::at(std::string_view key) {
  for (auto& item : items)
    if (item.first == key) return item.second;
  return items.emplace_back(std::string(key), Value()).second;
}

bool Value::truthy() const {
  if (is_undefined() || is_none()) return false;
  if (is_number()) return as_real() != 0;
  if (const auto* text = string()) return !text->empty();
  if (const auto* items = list()) return !items->empty();
  if (const auto* entries = map()) return namespace_ || !entries->items.empty();
  return true;
}

double Value::as_real() const {
  if (const auto* value = integer()) return static_cast<double>(*value);
  if (const auto* value = real()) return *value;
  if (const auto* value = boolean()) return *value ? 1 : 0;
  return 0;
}

std::int64_t Value::as_integer() const {
  if (const auto* value = integer()) return *value;
  if (const auto* value = boolean()) return *value ? 1 : 0;
  constexpr double kLimit = 9.2e18;
  if (const auto* value = real()) return *value > -kLimit && *value < kLimit ? static_cast<std::int64_t>(*value) : 0;
  return 0;
}

std::string_view Value::type_name() const {
  if (is_undefined()) return "an undefined value";
  if (is_none()) return "none";
  if (boolean() != nullptr) return "a boolean";
  if (is_number()) return "a number";
  if (string() != nullptr) return "a string";
  if (list() != nullptr) return "a list";
  if (map() != nullptr) return namespace_ ? "a namespace" : "a mapping";
  return "a function";
}

Value::Value(List value, bool tuple) : tuple_(tuple) {
  for (const auto& item : value) depth_ = std::max(depth_, item.depth_);
  ++depth_;
  data_ = std::make_shared<const List>(std::move(value));
}

Value::Value(Map value, bool is_namespace) : namespace_(is_namespace) {
  for (const auto& item : value.items) depth_ = std::max(depth_, item.second.depth_);
  ++depth_;
  data_ = std::make_shared<Map>(std::move(value));
}

bool equal(const Value& a, const Value& b, std::size_t& steps) {
  if (steps == 0) return false;
  --steps;
  if (a.is_number() && b.is_number()) return a.real() != nullptr || b.real() != nullptr ? a.as_real() == b.as_real() : a.as_integer() == b.as_integer();
  if (a.string() != nullptr && b.string() != nullptr) return *a.string() == *b.string();
  if (a.is_none() || b.is_none()) return a.is_none() && b.is_none();
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (const auto *x = a.list(), *y = b.list(); x != nullptr && y != nullptr) {
    if (x->size() != y->size() || a.is_tuple() != b.is_tuple()) return false;
    for (std::size_t i = 0; i < x->size(); ++i)
      if (!equal((*x)[i], (*y)[i], steps)) return false;
    return true;
  }
  if (const auto *x = a.map(), *y = b.map(); x != nullptr && y != nullptr) {
    if (a.is_namespace() || b.is_namespace()) return x == y;
    if (x->items.size() != y->items.size()) return false;
    for (const auto& [key, value] : x->items) {
      const Value* other = y->find(key);
      if (other == nullptr || !equal(value, *other, steps)) return false;
    }
    return true;
  }
  return false;
}

Result<bool> less(const Value& a, const Value& b, std::size_t& steps) {
  if (a.is_number() && b.is_number()) return a.real() != nullptr || b.real() != nullptr ? a.as_real() < b.as_real() : a.as_integer() < b.as_integer();
  if (a.string() != nullptr && b.string() != nullptr) return *a.string() < *b.string();
  if (const auto *x = a.list(), *y = b.list(); x != nullptr && y != nullptr) {
    for (std::size_t i = 0; i < std::min(x->size(), y->size()); ++i)
      if (!equal((*x)[i], (*y)[i], steps)) return less((*x)[i], (*y)[i], steps);
    return x->size() < y->size();
  }
  return fail(ErrorCode::kInvalidArgument, "{} and {} have no order", a.type_name(), b.type_name());
}

Status append_text(const Value& value, const TextLimits& limits, std::string& out) {
  if (const auto* text = value.string())
    out += *text;
  else
    STOA_CHECK(append_repr(value, limits, 0, out));
  return room(limits, out);
}

Status append_json(const Value& value, const TextLimits& limits, int indent, std::string& out) {
  STOA_CHECK(append_json_at(value, limits, indent, 0, out));
  return room(limits, out);
}

Value from_json(const Json& json) {
  switch (json.kind()) {
    case boost::json::kind::null: return None{};
    case boost::json::kind::bool_: return json.get_bool();
    case boost::json::kind::int64: return json.get_int64();
    case boost::json::kind::uint64: return static_cast<double>(json.get_uint64());
    case boost::json::kind::double_: return json.get_double();
    case boost::json::kind::string: return std::string(json.get_string());
    case boost::json::kind::array: {
      List out;
      for (const auto& item : json.get_array()) out.push_back(from_json(item));
      return out;
    }
    case boost::json::kind::object: {
      Map out;
      for (const auto& [key, item] : json.get_object()) out.items.emplace_back(std::string(key), from_json(item));
      return out;
    }
  }
  return {};
}

}  // namespace stoa::models::jinja
