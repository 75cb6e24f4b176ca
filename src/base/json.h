// JSON values, with bounds: the one place that names the JSON library (Boost.JSON). Objects keep insertion order.
// Only edges use it (gateway/api, adapters, file formats, the CLI); the layers talk in the structs of contracts/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "base/result.h"

namespace stoa {

using Json = boost::json::value;
using JsonObject = boost::json::object;
using JsonArray = boost::json::array;

struct JsonLimits {
  std::size_t max_bytes = 64u << 20;
  std::size_t max_depth = 64;
};

// Strict RFC 8259 JSON in valid UTF-8; the error names the byte offset.
Result<Json> parse_json(std::string_view text, const JsonLimits& limits = {});
std::string dump_json(const Json& value);
std::string dump_json(const JsonObject& object);  // not by way of a value, which would be a copy
std::string dump_json(const JsonArray& array);
std::string dump_json_pretty(const Json& value);

// Typed access for readers of untrusted objects. `find` returns nullptr when absent or null.
// `read_*` return nullopt when absent or null, and kInvalidArgument with `param` set when the type or range is wrong.
const Json* find(const JsonObject& object, std::string_view key);
Result<std::optional<std::string>> read_string(const JsonObject& object, std::string_view key);
Result<std::optional<std::int64_t>> read_int(const JsonObject& object, std::string_view key, std::int64_t min, std::int64_t max);
Result<std::optional<double>> read_number(const JsonObject& object, std::string_view key, double min, double max);
Result<std::optional<bool>> read_bool(const JsonObject& object, std::string_view key);

}  // namespace stoa
