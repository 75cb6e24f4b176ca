#include "base/json.h"

#include <cmath>

#include "base/json_arena.h"

#include <boost/json/src.hpp>  // the library's code, compiled here once

namespace stoa {
namespace {

void pretty(const Json& value, std::string& out, int indent) {
  const std::string pad(static_cast<std::size_t>(indent) + 2, ' ');
  const std::string end(static_cast<std::size_t>(indent), ' ');
  if (const auto* object = value.if_object(); object != nullptr && !object->empty()) {
    out += "{\n";
    bool first = true;
    for (const auto& [key, item] : *object) {
      if (!first) out += ",\n";
      first = false;
      out += pad + boost::json::serialize(key) + ": ";
      pretty(item, out, indent + 2);
    }
    out += "\n" + end + "}";
  } else if (const auto* array = value.if_array(); array != nullptr && !array->empty()) {
    out += "[\n";
    bool first = true;
    for (const auto& item : *array) {
      if (!first) out += ",\n";
      first = false;
      out += pad;
      pretty(item, out, indent + 2);
    }
    out += "\n" + end + "]";
  } else {
    out += dump_json(value);
  }
}

std::unexpected<Error> wrong(std::string_view key, std::string_view expected) {
  return fail(error(ErrorCode::kInvalidArgument, "'{}' must be {}", key, expected).with_param(std::string(key)));
}

}  // namespace

namespace {

Result<Json> parse_into(boost::json::storage_ptr storage, std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    return fail(ErrorCode::kTooLarge, "JSON of {} bytes exceeds the limit of {} bytes", text.size(), limits.max_bytes);
  boost::json::parse_options options;
  options.max_depth = limits.max_depth;
  unsigned char unfinished[4096];  // for values until they are complete; more comes from the heap
  boost::json::stream_parser parser({}, options, unfinished);
  parser.reset(std::move(storage));
  boost::json::error_code code;
  const std::size_t used = parser.write_some(text, code);
  if (!code && used < text.size()) code = boost::json::error::extra_data;
  if (!code) parser.finish(code);
  if (code) return fail(ErrorCode::kInvalidArgument, "not valid JSON at byte {}: {}", used, code.message());
  return parser.release();
}

}  // namespace

Result<Json> parse_json(std::string_view text, const JsonLimits& limits) { return parse_into({}, text, limits); }
Result<Json> parse_json(std::string_view text, JsonArena& arena, const JsonLimits& limits) { return parse_into(arena.storage(), text, limits); }

std::string dump_json(const Json& value) {
  // JSON has no infinities; a non-finite number becomes null rather than an invalid document.
  if (const double* number = value.if_double(); number != nullptr && !std::isfinite(*number)) return "null";
  return boost::json::serialize(value);
}

std::string dump_json(const JsonObject& object) { return boost::json::serialize(object); }
std::string dump_json(const JsonArray& array) { return boost::json::serialize(array); }

std::string dump_json_pretty(const Json& value) {
  std::string out;
  pretty(value, out, 0);
  return out;
}

const Json* find(const JsonObject& object, std::string_view key) {
  const Json* value = object.if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

Result<std::optional<std::string>> read_string(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong(key, "a string");
  return std::string(value->get_string());
}

Result<std::optional<std::int64_t>> read_int(const JsonObject& object, std::string_view key, std::int64_t min, std::int64_t max) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  const auto out_of_range = [&] { return wrong(key, fmt::format("an integer from {} to {}", min, max)); };
  std::int64_t number = 0;
  if (const auto* signed_value = value->if_int64()) {
    number = *signed_value;
  } else if (const auto* real = value->if_double(); real != nullptr && std::trunc(*real) == *real && std::abs(*real) < 9e15) {
    number = static_cast<std::int64_t>(*real);
  } else {
    return out_of_range();
  }
  if (number < min || number > max) return out_of_range();
  return number;
}

Result<std::optional<double>> read_number(const JsonObject& object, std::string_view key, double min, double max) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) return wrong(key, "a number");
  const double number = value->to_number<double>();
  if (!(number >= min && number <= max)) return wrong(key, fmt::format("a number from {} to {}", min, max));
  return number;
}

Result<std::optional<bool>> read_bool(const JsonObject& object, std::string_view key) {
  const Json* value = find(object, key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) return wrong(key, "true or false");
  return value->get_bool();
}

}  // namespace stoa
