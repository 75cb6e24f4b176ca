// Filters and tests.
#include "models/tokenizer/jinja_builtins.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "models/tokenizer/jinja_text.h"

namespace stoa::models::jinja {
namespace {

std::unexpected<Error> wrong(std::string_view what) { return fail(ErrorCode::kInvalidArgument, "{}", what); }

Result<std::string> text_of(Context& context, const Value& value) {
  std::string out;
  STOA_CHECK(append_text(value, context.text_limits(), out));
  return out;
}

// "a.b" or "0" of a value, as map(attribute=...) and selectattr() name it.
Value attribute_of(const Value& value, std::string_view path) {
  Value at = value;
  while (true) {
    const std::size_t dot = path.find('.');
    const std::string_view name = path.substr(0, dot);
    Value next = Value::undefined(std::string(name));
    std::size_t place = 0;
    if (const auto* map = at.map()) {
      if (const Value* found = map->find(name)) next = *found;
    } else if (const auto* list = at.list(); list != nullptr && std::from_chars(name.data(), name.data() + name.size(), place).ec == std::errc() && place < list->size()) {
      next = (*list)[place];
    }
    at = next;
    if (dot == std::string_view::npos) return at;
    path.remove_prefix(dot + 1);
  }
}

Result<Value> join(Context& context, const Value& subject, const Arguments& arguments) {
  const Value* by = arguments.get(0, "d");
  const Value* attribute = arguments.get(1, "attribute");
  std::string separator, out;
  if (by != nullptr) STOA_CHECK(append_text(*by, context.text_limits(), separator));
  STOA_TRY(items, iterate(context, subject));
  bool first = true;
  for (const auto& item : items) {
    STOA_CHECK(context.step());
    if (!first) out += separator;
    first = false;
    STOA_CHECK(append_text(attribute != nullptr && attribute->string() != nullptr ? attribute_of(item, *attribute->string()) : item, context.text_limits(), out));
  }
  return context.text(std::move(out));
}

Result<Value> to_integer(const Value& subject, const Arguments& arguments) {
  const Value* given = arguments.get(0, "default");
  const Value fallback = given == nullptr ? Value(std::int64_t{0}) : *given;
  if (subject.is_number()) return subject.as_integer();
  const auto* text = subject.string();
  if (text == nullptr) return fallback;
  std::string_view digits = strip(*text, nullptr, true, true);
  if (digits.starts_with('+')) digits.remove_prefix(1);
  std::int64_t whole = 0;
  if (const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), whole); read.ec == std::errc() && read.ptr == digits.data() + digits.size() && !digits.empty()) return whole;
  double real = 0;
  if (const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), real); read.ec == std::errc() && read.ptr == digits.data() + digits.size() && !digits.empty() && std::isfinite(real))
    return Value(real).as_integer();
  return fallback;
}

Result<Value> to_real(const Value& subject, const Arguments& arguments) {
  const Value* given = arguments.get(0, "default");
  if (subject.is_number()) return subject.as_real();
  if (const auto* text = subject.string()) {
    const std::string_view digits = strip(*text, nullptr, true, true);
    double real = 0;
    if (const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), real); read.ec == std::errc() && read.ptr == digits.data() + digits.size() && !digits.empty()) return real;
  }
  return given == nullptr ? Value(0.0) : *given;
}

Result<Value> to_json(Context& context, const Value& subject, const Arguments& arguments) {
  const Value* indent = arguments.get(1, "indent");
  constexpr std::int64_t kMostIndent = 16;
  const std::int64_t width = indent == nullptr || indent->is_none() ? -1 : std::clamp<std::int64_t>(indent->as_integer(), 0, kMostIndent);
  std::string out;
  STOA_CHECK(append_json(subject, context.text_limits(), static_cast<int>(width), out));
  return context.text(std::move(out));
}

// map(attribute=..., default=...) or map('filter', arguments...).
Result<Value> map_items(Context& context, const Value& subject, const Arguments& arguments) {
  STOA_TRY(items, iterate(context, subject));
  Arguments inner = arguments;
  const Value* attribute = arguments.get(std::numeric_limits<std::size_t>::max(), "attribute");
  const Value* fallback = arguments.get(std::numeric_limits<std::size_t>::max(), "default");
  if (attribute == nullptr && (inner.positional.empty() || inner.positional[0].string() == nullptr)) return wrong("map needs an attribute or the name of a filter");
  std::string filter;
  if (attribute == nullptr) {
    filter = *inner.positional[0].string();
    inner.positional.erase(inner.positional.begin());
  }
  List out;
  for (const auto& item : items) {
    STOA_CHECK(context.step());
    if (attribute != nullptr) {
      Value value = attribute->string() == nullptr ? Value() : attribute_of(item, *attribute->string());
      out.push_back(value.is_undefined() && fallback != nullptr ? *fallback : value);
    } else {
      STOA_TRY(value, apply_filter(context, filter, item, inner));
      out.push_back(value);
    }
  }
  return context.list(std::move(out));
}

// select, reject, selectattr, rejectattr: [attribute,] [test, arguments...]
Result<Value> select(Context& context, const Value& subject, const Arguments& arguments, bool by_attribute, bool keep) {
  STOA_TRY(items, iterate(context, subject));
  Arguments inner = arguments;
  const auto take_name = [&inner]() -> std::string {
    if (inner.positional.empty() || inner.positional[0].string() == nullptr) return {};
    std::string name = *inner.positional[0].string();
    inner.positional.erase(inner.positional.begin());
    return name;
  };
  const std::string attribute = by_attribute ? take_name() : std::string();
  if (by_attribute && attribute.empty()) return wrong("selectattr and rejectattr need the name of an attribute");
  const std::string test = take_name();
  List out;
  for (const auto& item : items) {
    STOA_CHECK(context.step());
    const Value value = by_attribute ? attribute_of(item, attribute) : item;
    bool holds = value.truthy();
    if (!test.empty()) {
      STOA_TRY(answer, apply_test(context, test, value, inner));
      holds = answer;
    }
    if (holds == keep) out.push_back(item);
  }
  return context.list(std::move(out));
}

Result<Value> sorted(Context& context, const Value& subject, const Arguments& arguments) {
  STOA_TRY(items, iterate(context, subject));
  const Value* reverse = arguments.get(0, "reverse");
  const Value* attribute = arguments.get(2, "attribute");
  std::optional<Error> problem;
  const auto key = [&](const Value& item) {
    Value value = attribute != nullptr && attribute->string() != nullptr ? attribute_of(item, *attribute->string()) : item;
    return value.string() != nullptr ? Value(to_lower(*value.string())) : value;  // case does not count by default
  };
  std::vector<std::pair<Value, std::size_t>> keys;
  for (std::size_t i = 0; i < items.size(); ++i) keys.emplace_back(key(items[i]), i);
  std::ranges::stable_sort(keys, [&](const auto& a, const auto& b) {
    if (problem) return false;
    auto before = less(a.first, b.first, context.steps_left());
    if (!before) problem = before.error();
    return before.value_or(false);
  });
  if (problem) return fail(*problem);
  List out;
  for (const auto& [value, place] : keys) out.push_back(items[place]);
  if (reverse != nullptr && reverse->truthy()) std::ranges::reverse(out);
  STOA_CHECK(context.step(out.size() + 1));
  return context.list(std::move(out));
}

Result<Value> unique(Context& context, const Value& subject) {
  STOA_TRY(items, iterate(context, subject));
  List out;
  for (const auto& item : items) {
    STOA_CHECK(context.step());
    if (std::ranges::none_of(out, [&](const Value& seen) { return equal(seen, item, context.steps_left()); })) out.push_back(item);
  }
  return context.list(std::move(out));
}

Result<Value> indent(Context& context, const Value& subject, const Arguments& arguments) {
  STOA_TRY(text, text_of(context, subject));
  const Value* width = arguments.get(0, "width");
  const Value* first = arguments.get(1, "first");
  const Value* blank = arguments.get(2, "blank");
  std::string pad(4, ' ');
  if (width != nullptr && width->string() != nullptr) pad = *width->string();
  else if (width != nullptr) pad.assign(static_cast<std::size_t>(std::clamp<std::int64_t>(width->as_integer(), 0, 64)), ' ');
  std::string out = first != nullptr && first->truthy() ? pad : "";
  for (std::size_t i = 0; i < text.size(); ++i) {
    out += text[i];
    const bool blank_line = i + 1 < text.size() && text[i + 1] == '\n';
    if (text[i] == '\n' && i + 1 < text.size() && (!blank_line || (blank != nullptr && blank->truthy()))) out += pad;
    if (out.size() > context.limits().max_output_bytes) break;
  }
  return context.text(std::move(out));
}

Result<Value> reversed(Context& context, const Value& subject) {
  if (const auto* text = subject.string()) {
    std::string out;
    const auto parts = characters(*text);
    for (auto part = parts.rbegin(); part != parts.rend(); ++part) out += *part;
    return context.text(std::move(out));
  }
  STOA_TRY(items, iterate(context, subject));
  std::ranges::reverse(items);
  return context.list(std::move(items));
}

Result<Value> pairs(Context& context, const Value& subject) {
  List out;
  if (subject.is_undefined()) return context.list(std::move(out));
  if (subject.map() == nullptr || subject.is_namespace()) return wrong(fmt::format("items of {} are not possible", subject.type_name()));
  for (const auto& [key, value] : subject.map()->items) {
    STOA_TRY(pair, context.list({Value(key), value}, true));
    out.push_back(pair);
  }
  return context.list(std::move(out));
}

Result<Value> extreme(Context& context, const Value& subject, bool largest) {
  STOA_TRY(items, iterate(context, subject));
  if (items.empty()) return Value::undefined("an empty sequence's extreme");
  Value best = items[0];
  for (const auto& item : items) {
    STOA_CHECK(context.step());
    STOA_TRY(better, largest ? less(best, item, context.steps_left()) : less(item, best, context.steps_left()));
    if (better) best = item;
  }
  return best;
}

}  // namespace

Result<Value> apply_filter(Context& context, std::string_view name, const Value& subject, const Arguments& arguments) {
  if (name == "default" || name == "d") {
    const Value* fallback = arguments.get(0, "default_value");
    const Value* falsy = arguments.get(1, "boolean");
    const bool replace = subject.is_undefined() || (falsy != nullptr && falsy->truthy() && !subject.truthy());
    return !replace ? subject : fallback == nullptr ? Value(std::string()) : *fallback;
  }
  if (name == "length" || name == "count") {
    STOA_TRY(length, length_of(subject));
    return length;
  }
  if (name == "tojson") return to_json(context, subject, arguments);
  if (name == "join") return join(context, subject, arguments);
  if (name == "items") return pairs(context, subject);
  if (name == "map") return map_items(context, subject, arguments);
  if (name == "select" || name == "reject") return select(context, subject, arguments, false, name == "select");
  if (name == "selectattr" || name == "rejectattr") return select(context, subject, arguments, true, name == "selectattr");
  if (name == "int") return to_integer(subject, arguments);
  if (name == "float") return to_real(subject, arguments);
  if (name == "reverse") return reversed(context, subject);
  if (name == "sort") return sorted(context, subject, arguments);
  if (name == "unique") return unique(context, subject);
  if (name == "indent") return indent(context, subject, arguments);
  if (name == "min" || name == "max") return extreme(context, subject, name == "max");
  if (name == "safe") return subject;
  if (name == "list") {
    STOA_TRY(items, iterate(context, subject));
    return context.list(std::move(items));
  }
  if (name == "first" || name == "last") {
    STOA_TRY(items, iterate(context, subject));
    if (items.empty()) return Value::undefined("an empty sequence's item");
    return name == "first" ? items.front() : items.back();
  }
  if (name == "abs") {
    if (subject.real() != nullptr) return std::abs(subject.as_real());
    const std::int64_t value = subject.as_integer();
    return value == std::numeric_limits<std::int64_t>::min() ? value : std::abs(value);
  }
  for (const std::string_view of_text : {"trim", "upper", "lower", "title", "capitalize", "string", "replace"}) {
    if (name != of_text) continue;
    STOA_TRY(text, text_of(context, subject));
    if (name == "string") return context.text(std::move(text));
    if (name == "title") return context.text(to_title(text, false));
    return call_method(context, Value(std::move(text)), name == "trim" ? "strip" : name, arguments);
  }
  return fail(ErrorCode::kUnsupported, "the filter '{}' is not supported", name);
}

Result<bool> apply_test(Context& context, std::string_view name, const Value& subject, const Arguments& arguments) {
  const Value* other = arguments.get(0, "other");
  const auto need_other = [&]() -> Status {
    if (other == nullptr) return wrong(fmt::format("the test '{}' needs an argument", name));
    return {};
  };
  if (name == "defined") return !subject.is_undefined();
  if (name == "undefined") return subject.is_undefined();
  if (name == "none") return subject.is_none();
  if (name == "string") return subject.string() != nullptr;
  if (name == "mapping") return subject.map() != nullptr && !subject.is_namespace();
  if (name == "sequence") return subject.string() != nullptr || subject.list() != nullptr || (subject.map() != nullptr && !subject.is_namespace());
  if (name == "iterable") return subject.string() != nullptr || subject.list() != nullptr || subject.is_undefined() || (subject.map() != nullptr && !subject.is_namespace());
  if (name == "number") return subject.is_number();
  if (name == "integer") return subject.integer() != nullptr;
  if (name == "float") return subject.real() != nullptr;
  if (name == "boolean") return subject.boolean() != nullptr;
  if (name == "true") return subject.boolean() != nullptr && *subject.boolean();
  if (name == "false") return subject.boolean() != nullptr && !*subject.boolean();
  if (name == "callable") return subject.callable() != nullptr;
  if (name == "odd" || name == "even") return (subject.as_integer() % 2 != 0) == (name == "odd");
  if (name == "lower" || name == "upper") {
    const auto* text = subject.string();
    return text != nullptr && *text == (name == "lower" ? to_lower(*text) : to_upper(*text));
  }
  if (name == "divisibleby") {
    STOA_CHECK(need_other());
    const std::int64_t divisor = other->as_integer();
    if (divisor == 0) return wrong("division by zero");
    return divisor == -1 || subject.as_integer() % divisor == 0;
  }
  if (name == "in") {
    STOA_CHECK(need_other());
    return contains(context, *other, subject);
  }
  if (name == "eq" || name == "equalto" || name == "==" || name == "ne" || name == "!=" || name == "sameas") {
    STOA_CHECK(need_other());
    const bool same = equal(subject, *other, context.steps_left());
    STOA_CHECK(context.step());
    return same == (name != "ne" && name != "!=");
  }
  const bool greater = name == "gt" || name == "greaterthan" || name == ">" || name == "le" || name == "<=";
  const bool smaller = name == "lt" || name == "lessthan" || name == "<" || name == "ge" || name == ">=";
  if (greater || smaller) {
    STOA_CHECK(need_other());
    STOA_TRY(before, greater ? less(*other, subject, context.steps_left()) : less(subject, *other, context.steps_left()));
    return before != (name == "le" || name == "<=" || name == "ge" || name == ">=");
  }
  return fail(ErrorCode::kUnsupported, "the test '{}' is not supported", name);
}

}  // namespace stoa::models::jinja
