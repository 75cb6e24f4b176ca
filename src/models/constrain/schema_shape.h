// What several JSON Schemas that must all hold say together, collected by kind of value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "models/constrain/numbers.h"

namespace stoa::models::constrain {

// A schema at its place in the document; the document outlives it.
struct SchemaAt {
  const Json* schema = nullptr;
  std::string path;              // JSON pointer with a leading '#', for messages
  bool skip_any = false;         // its anyOf was resolved: one branch stands beside it
  bool skip_one = false;         // its oneOf was
  bool resolved = false;         // what its $ref and allOf say stands beside it
};
using Conjunction = std::vector<SchemaAt>;  // all of them hold

enum TypeBit : std::uint8_t { kNullType = 1, kBoolType = 2, kIntegerType = 4, kFractionType = 8, kStringType = 16, kArrayType = 32, kObjectType = 64, kAnyType = 127 };

struct Shape {
  struct Text {
    std::string regex;
    std::string path;
  };
  // The array keywords of one schema: element i is prefix[i], later ones are `items`.
  struct Elements {
    std::vector<SchemaAt> prefix;
    std::optional<SchemaAt> items;
  };
  // The object keywords of one schema: a property it does not name is `additional`.
  struct Members {
    std::vector<std::pair<std::string, SchemaAt>> properties;
    std::optional<SchemaAt> additional;
    std::optional<SchemaAt> names;                                  // propertyNames
    std::optional<std::pair<std::string, SchemaAt>> pattern;        // the one entry of patternProperties
  };

  std::string path;
  std::uint8_t types = kAnyType;
  bool typed = false;                     // `type` was given
  std::uint8_t spoken = 0;                // kinds of value that the keywords speak of
  std::vector<std::string> assertions;    // keywords that restrict, except type, enum and const
  std::optional<std::vector<Json>> values;  // enum and const
  std::int64_t min_length = 0, max_length = -1;
  std::vector<Text> patterns;             // `pattern`, and `format` as one
  NumberRules number;
  std::vector<Elements> elements;
  std::int64_t min_items = 0, max_items = -1;
  std::vector<Members> members;
  std::vector<std::string> required;
  std::int64_t min_properties = 0, max_properties = -1;
  // One anyOf or oneOf that is still to be resolved: which schema, and whether it is oneOf.
  std::optional<std::size_t> alternatives;
  bool alternatives_one = false;
};

// Reads the keywords of all parts ($ref and allOf are resolved already). kInvalidArgument names path and keyword for what is wrong
// or cannot be enforced.
Result<Shape> read_shape(const Conjunction& parts, const GrammarLimits& limits);

// "#/properties/a" + "b" -> "#/properties/a/b", escaped as JSON pointers are.
std::string child_path(std::string_view path, std::string_view key);

// The type of one value; a number without a fraction is an integer.
std::uint8_t type_of(const Json& value);

// What a reference ("#/$defs/name") names in a document; null where it names nothing.
const Json* referred_to(const Json& document, const std::string& reference);

// Makes the error that a keyword deserves.
std::unexpected<Error> schema_error(std::string_view path, std::string_view keyword, std::string_view what, std::string hint);

// The regular expression of a `format`; nullopt where it is unknown, empty where it restricts nothing.
std::optional<std::string> format_regex(std::string_view format);

}  // namespace stoa::models::constrain
