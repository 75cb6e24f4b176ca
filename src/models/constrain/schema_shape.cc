#include "models/constrain/schema_shape.h"

#include <algorithm>
#include <array>

namespace stoa::models::constrain {
namespace {

// Keywords that restrict nothing, or that are read elsewhere ($ref, allOf: resolved before; $defs: by reference).
constexpr std::array kNotes = {"title",      "description", "default",          "examples",        "example",       "$comment",     "$schema",
                               "$id",        "$anchor",     "deprecated",       "readOnly",        "writeOnly",     "$defs",        "definitions",
                               "$vocabulary", "contentMediaType", "contentEncoding", "contentSchema", "discriminator", "externalDocs", "xml",
                               "$ref",       "allOf"};

struct Hint {
  std::string_view keyword, hint;
};
constexpr Hint kUnenforceable[] = {
    {"not", "describe what is allowed instead"},
    {"if", "use anyOf with one branch for each case"},
    {"then", "use anyOf with one branch for each case"},
    {"else", "use anyOf with one branch for each case"},
    {"dependentRequired", "use anyOf with one branch for each case"},
    {"dependentSchemas", "use anyOf with one branch for each case"},
    {"dependencies", "use anyOf with one branch for each case"},
    {"contains", "use prefixItems, or an object with a property for what has to be there"},
    {"minContains", "use prefixItems"},
    {"maxContains", "use prefixItems"},
    {"unevaluatedItems", "use items"},
    {"$dynamicRef", "use $ref"},
    {"$recursiveRef", "use $ref"},
};

constexpr std::pair<std::string_view, std::uint8_t> kTypes[] = {
    {"null", kNullType},     {"boolean", kBoolType}, {"integer", kIntegerType}, {"number", kIntegerType | kFractionType},
    {"string", kStringType}, {"array", kArrayType},  {"object", kObjectType},
};

// Reads the keywords of one schema into a shape that others may have filled already.
class PartReader {
 public:
  PartReader(Shape& shape, const SchemaAt& at, const GrammarLimits& limits) : shape_(shape), at_(at), object_(at.schema->get_object()), limits_(limits) {}

  Status read() {
    for (const auto& [key, value] : object_) {
      keyword_ = key;
      STOA_CHECK(keyword(value));
    }
    if (elements_) shape_.elements.push_back(std::move(*elements_));
    if (members_) shape_.members.push_back(std::move(*members_));
    return {};
  }

 private:
  std::unexpected<Error> wrong(std::string_view what, std::string hint = "") const { return schema_error(at_.path, keyword_, what, std::move(hint)); }
  SchemaAt child(const Json& value) const { return {.schema = &value, .path = child_path(at_.path, keyword_)}; }
  SchemaAt child(const Json& value, std::string_view key) const { return {.schema = &value, .path = child_path(child_path(at_.path, keyword_), key)}; }

  bool is(std::string_view name) const { return keyword_ == name; }

  void speaks_of(std::uint8_t kinds) {
    shape_.spoken |= kinds;
    shape_.assertions.push_back(keyword_);
  }

  Result<std::int64_t> count(const Json& value) const {
    const auto decimal = to_decimal(value);
    if (!value.is_number() || !decimal || decimal->negative || !decimal->fraction.empty()) return wrong("must be a whole number, 0 or more");
    if (decimal->whole.size() > 9) return std::int64_t{1'000'000'000};
    return std::stoll(decimal->whole);
  }

  // For the counts that become repetitions.
  Status bounds(const Json& value, std::int64_t& low, std::int64_t& high, bool is_min, std::uint8_t kind) {
    speaks_of(kind);
    STOA_TRY(number, count(value));
    if (is_min && number > limits_.max_repeat) return wrong(fmt::format("may be {} at most", limits_.max_repeat), "use a smaller bound");
    if (is_min) low = std::max(low, number);
    else if (number <= limits_.max_repeat) high = high < 0 ? number : std::min(high, number);
    else if (high < 0 && !is(std::string_view("maxProperties"))) return wrong(fmt::format("may be {} at most", limits_.max_repeat), "use a smaller bound or leave it out");
    return {};
  }

  Status keyword(const Json& value) {
    if (is("type")) return type(value);
    if (is("enum") || is("const")) return values(value);
    if (is("nullable")) {
      if (!value.is_bool()) return wrong("must be true or false");
      if (value.get_bool() && object_.if_contains("type") == nullptr) return wrong("needs 'type' beside it", "use anyOf with {\"type\": \"null\"} as one branch");
      return {};
    }
    if (is("anyOf") || is("oneOf")) return alternatives(value);
    if (is("minLength") || is("maxLength")) return bounds(value, shape_.min_length, shape_.max_length, is("minLength"), kStringType);
    if (is("minItems") || is("maxItems")) return bounds(value, shape_.min_items, shape_.max_items, is("minItems"), kArrayType);
    if (is("minProperties") || is("maxProperties")) return bounds(value, shape_.min_properties, shape_.max_properties, is("minProperties"), kObjectType);
    if (is("pattern")) {
      speaks_of(kStringType);
      if (!value.is_string()) return wrong("must be a string");
      shape_.patterns.push_back({std::string(value.get_string()), child_path(at_.path, "pattern")});
      return {};
    }
    if (is("format")) return format(value);
    if (is("minimum") || is("exclusiveMinimum") || is("maximum") || is("exclusiveMaximum")) return limit(value);
    if (is("multipleOf")) return multiple(value);
    if (is("items") || is("prefixItems") || is("additionalItems")) return elements(value);
    if (is("uniqueItems")) {
      if (value.is_bool() && !value.get_bool()) return {};
      return wrong("cannot be enforced while generating", "remove it, or use an object with one boolean property for each value");
    }
    if (is("properties") || is("required") || is("additionalProperties") || is("unevaluatedProperties") || is("propertyNames") || is("patternProperties")) return members(value);
    if (std::ranges::find(kNotes, keyword_, [](const char* note) { return std::string_view(note); }) != kNotes.end() || keyword_.starts_with("x-")) return {};
    const auto* known = std::ranges::find(kUnenforceable, keyword_, [](const Hint& hint) { return std::string(hint.keyword); });
    if (known != std::end(kUnenforceable)) return wrong("is not supported", std::string(known->hint));
    return wrong("is not a keyword of JSON Schema that can be enforced", "remove it or correct its spelling; own annotations begin with x-");
  }

  Status type(const Json& value) {
    std::uint8_t types = 0;
    const auto add = [&](const Json& name) -> Status {
      const auto* found = name.is_string() ? std::ranges::find(kTypes, std::string_view(name.get_string()), &std::pair<std::string_view, std::uint8_t>::first) : std::end(kTypes);
      if (found == std::end(kTypes)) return wrong("must name null, boolean, integer, number, string, array or object");
      types |= found->second;
      return {};
    };
    if (const auto* list = value.if_array()) {
      if (list->empty()) return wrong("must name at least one type");
      for (const Json& name : *list) STOA_CHECK(add(name));
    } else {
      STOA_CHECK(add(value));
    }
    if (const Json* nullable = object_.if_contains("nullable"); nullable != nullptr && nullable->is_bool() && nullable->get_bool()) types |= kNullType;
    shape_.types &= types;
    shape_.typed = true;
    return {};
  }

  Status values(const Json& value) {
    std::vector<Json> given;
    if (is("const")) {
      given.push_back(value);
    } else {
      if (!value.is_array() || value.get_array().empty()) return wrong("must be an array with at least one value");
      given.assign(value.get_array().begin(), value.get_array().end());
    }
    if (!shape_.values) {
      shape_.values = std::move(given);
      return {};
    }
    std::erase_if(*shape_.values, [&](const Json& kept) { return std::ranges::find(given, kept) == given.end(); });
    return {};
  }

  Status alternatives(const Json& value) {
    if (is("anyOf") ? at_.skip_any : at_.skip_one) return {};
    if (!value.is_array() || value.get_array().empty()) return wrong("must be an array with at least one schema");
    if (!shape_.alternatives) {
      shape_.alternatives = index;
      shape_.alternatives_one = is("oneOf");
    }
    return {};
  }

  Status format(const Json& value) {
    if (!value.is_string()) return wrong("must be a string");
    const std::string name(value.get_string());
    if (name == "float" || name == "double") return {};
    if (name == "int32" || name == "uint32" || name == "int64" || name == "uint64") {
      // 64 bit: up to 18 digits, as integers are written in any case.
      const bool is_unsigned = name.starts_with('u');
      if (name.ends_with("32")) {
        narrow_low({.value = *to_decimal(Json(is_unsigned ? std::int64_t{0} : std::int64_t{-2147483648}))});
        narrow_high({.value = *to_decimal(Json(is_unsigned ? std::int64_t{4294967295} : std::int64_t{2147483647}))});
      } else if (is_unsigned) {
        narrow_low({.value = {}});
      }
      return {};
    }
    const auto regex = format_regex(name);
    if (!regex)
      return wrong(fmt::format("'{}' is not supported", name),
                   "supported: date, time, date-time, duration, email, hostname, ipv4, ipv6, uuid, uri, byte, json-pointer, int32, int64; or use pattern");
    speaks_of(kStringType);
    if (!regex->empty()) shape_.patterns.push_back({*regex, child_path(at_.path, "format")});
    return {};
  }

  void narrow_low(Bound bound) {
    auto& low = shape_.number.low;
    const int order = low ? compare(bound.value, low->value) : 1;
    if (order > 0 || (order == 0 && bound.exclusive)) low = bound;
  }
  void narrow_high(Bound bound) {
    auto& high = shape_.number.high;
    const int order = high ? compare(bound.value, high->value) : -1;
    if (order < 0 || (order == 0 && bound.exclusive)) high = bound;
  }

  Status limit(const Json& value) {
    speaks_of(kIntegerType | kFractionType);
    if (!value.is_number()) return wrong("must be a number");
    const auto decimal = to_decimal(value);
    if (!decimal) return wrong("has more than 18 digits before the point or 17 after it", "use a bound with fewer digits or leave it out");
    const Bound bound{*decimal, keyword_.starts_with("exclusive")};
    if (keyword_.ends_with("inimum")) narrow_low(bound);
    else narrow_high(bound);
    return {};
  }

  Status multiple(const Json& value) {
    speaks_of(kIntegerType | kFractionType);
    const auto decimal = value.is_number() ? to_decimal(value) : std::nullopt;
    if (!decimal || decimal->negative || decimal->zero()) return wrong("must be a number above 0 with at most 17 digits after the point");
    auto& step = shape_.number.multiple_of;
    if (step && compare(*step, *decimal) != 0) return wrong("stands beside another multipleOf", "use their least common multiple");
    step = decimal;
    return {};
  }

  Status schemas(const Json& value, std::vector<SchemaAt>& out) {
    if (!value.is_array()) return wrong("must be an array of schemas");
    for (std::size_t i = 0; i < value.get_array().size(); ++i) out.push_back(child(value.get_array()[i], fmt::format("{}", i)));
    return {};
  }

  Status elements(const Json& value) {
    speaks_of(kArrayType);
    if (!elements_) elements_.emplace();
    // Drafts before 2020-12 wrote prefixItems as an array in items, and items as additionalItems.
    if (is("prefixItems") || (is("items") && value.is_array())) return schemas(value, elements_->prefix);
    const bool old = object_.if_contains("items") != nullptr && object_.at("items").is_array();
    if (is("additionalItems") && !old) return {};
    elements_->items = child(value);
    return {};
  }

  Status members(const Json& value) {
    speaks_of(kObjectType);
    if (!members_) members_.emplace();
    if (is("required")) {
      if (!value.is_array()) return wrong("must be an array of names");
      for (const Json& name : value.get_array()) {
        if (!name.is_string()) return wrong("must be an array of names");
        const std::string text(name.get_string());
        if (std::ranges::find(shape_.required, text) == shape_.required.end()) shape_.required.push_back(text);
      }
      return {};
    }
    if (is("additionalProperties")) {
      members_->additional = child(value);
      return {};
    }
    if (is("unevaluatedProperties")) {
      if (value.is_bool() && !value.get_bool()) return {};  // objects are closed in any case, unless additionalProperties opens them
      return wrong("is supported as false only", "use additionalProperties");
    }
    if (is("propertyNames")) {
      members_->names = child(value);
      return {};
    }
    if (!value.is_object()) return wrong("must be an object of schemas");
    if (is("properties")) {
      for (const auto& [name, schema] : value.get_object()) members_->properties.emplace_back(name, child(schema, name));
      return {};
    }
    if (value.get_object().size() > 1) return wrong("is supported with one pattern only", "combine the patterns with | if their schemas are the same");
    for (const auto& [pattern, schema] : value.get_object()) members_->pattern.emplace(pattern, child(schema, pattern));
    return {};
  }

 public:
  std::size_t index = 0;  // of the part in its conjunction

 private:
  Shape& shape_;
  const SchemaAt& at_;
  const JsonObject& object_;
  const GrammarLimits& limits_;
  std::string keyword_;
  std::optional<Shape::Elements> elements_;
  std::optional<Shape::Members> members_;
};

}  // namespace

Result<Shape> read_shape(const Conjunction& parts, const GrammarLimits& limits) {
  Shape shape;
  shape.path = parts.empty() ? "#" : parts.front().path;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    PartReader reader(shape, parts[i], limits);
    reader.index = i;
    STOA_CHECK(reader.read());
  }
  return shape;
}

std::uint8_t type_of(const Json& value) {
  switch (value.kind()) {
    case boost::json::kind::null: return kNullType;
    case boost::json::kind::bool_: return kBoolType;
    case boost::json::kind::int64:
    case boost::json::kind::uint64: return kIntegerType;
    case boost::json::kind::double_: return value.get_double() == static_cast<double>(static_cast<std::int64_t>(std::clamp(value.get_double(), -9e15, 9e15))) ? kIntegerType : kFractionType;
    case boost::json::kind::string: return kStringType;
    case boost::json::kind::array: return kArrayType;
    default: return kObjectType;
  }
}

const Json* referred_to(const Json& document, const std::string& reference) {
  const Json* found = &document;
  for (std::size_t from = 1; from < reference.size() && found != nullptr;) {
    const std::size_t end = std::min(reference.find('/', from + 1), reference.size());
    std::string key = reference.substr(from + 1, end - from - 1);
    for (const auto& [coded, plain] : {std::pair<std::string_view, char>{"~1", '/'}, {"%25", '%'}, {"%20", ' '}, {"~0", '~'}})
      for (std::size_t place = 0; (place = key.find(coded, place)) != std::string::npos; ++place) key.replace(place, coded.size(), 1, plain);
    const Json* next = nullptr;
    if (const auto* object = found->if_object()) {
      next = object->if_contains(key);
    } else if (const auto* array = found->if_array(); array != nullptr && !key.empty() && key.size() < 7 && std::ranges::all_of(key, [](char c) { return c >= '0' && c <= '9'; })) {
      const std::size_t index = std::stoul(key);
      if (index < array->size()) next = &(*array)[index];
    }
    found = next;
    from = end;
  }
  return found;
}

std::string child_path(std::string_view path, std::string_view key) {
  std::string out(path);
  out += '/';
  for (const char c : key) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

std::unexpected<Error> schema_error(std::string_view path, std::string_view keyword, std::string_view what, std::string hint) {
  return fail(error(ErrorCode::kInvalidArgument, "schema at {}: '{}' {}", path, keyword, what).with_hint(std::move(hint)));
}

}  // namespace stoa::models::constrain
