#include "gateway/api/fields.h"

namespace stoa::gateway {
namespace {

constexpr std::size_t kMaxMetadata = 16, kMaxMetadataKey = 64, kMaxMetadataValue = 512;
constexpr JsonLimits kBodyLimits{.max_bytes = 16u << 20, .max_depth = 64};

}  // namespace

std::string Fields::path(std::string_view key) const {
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

std::unexpected<Error> Fields::wrong(std::string_view key, std::string_view expected) const {
  const std::string name = path(key);
  return fail(error(ErrorCode::kInvalidArgument, "'{}' must be {}", name, expected).with_param(name));
}

std::unexpected<Error> Fields::unsupported(std::string_view key, std::string_view next_step) const {
  const std::string name = path(key);
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not supported here: {}", name, next_step).with_param(name));
}

Result<std::optional<std::string>> Fields::text(std::string_view key) const {
  const Json* value = get(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) return wrong(key, "a string");
  return std::string(value->get_string());
}

Result<std::string> Fields::text_or(std::string_view key, std::string_view fallback) const {
  STOA_TRY(value, text(key));
  return value ? std::move(*value) : std::string(fallback);
}

Result<std::string> Fields::required_text(std::string_view key) const {
  STOA_TRY(value, text(key));
  if (!value || value->empty()) return wrong(key, "a non-empty string; it is required");
  return std::move(*value);
}

Result<std::optional<std::int64_t>> Fields::integer(std::string_view key, std::int64_t min, std::int64_t max) const {
  auto value = read_int(object_, key, min, max);
  if (!value) return wrong(key, fmt::format("an integer from {} to {}", min, max));
  return value;
}

Result<std::int64_t> Fields::integer_or(std::string_view key, std::int64_t min, std::int64_t max, std::int64_t fallback) const {
  STOA_TRY(value, integer(key, min, max));
  return value.value_or(fallback);
}

Result<double> Fields::number_or(std::string_view key, double min, double max, double fallback) const {
  auto value = read_number(object_, key, min, max);
  if (!value) return wrong(key, fmt::format("a number from {} to {}", min, max));
  return value->value_or(fallback);
}

Result<bool> Fields::flag_or(std::string_view key, bool fallback) const {
  auto value = read_bool(object_, key);
  if (!value) return wrong(key, "true or false");
  return value->value_or(fallback);
}

Result<const JsonArray*> Fields::array(std::string_view key, std::size_t max_items) const {
  const Json* value = get(key);
  if (value == nullptr) return nullptr;
  const JsonArray* array = value->if_array();
  if (array == nullptr) return wrong(key, "a list");
  if (array->size() > max_items) return wrong(key, fmt::format("a list of at most {} items; it has {}", max_items, array->size()));
  return array;
}

Result<const JsonObject*> Fields::object(std::string_view key) const {
  const Json* value = get(key);
  if (value == nullptr) return nullptr;
  const JsonObject* object = value->if_object();
  if (object == nullptr) return wrong(key, "an object");
  return object;
}

Result<std::vector<std::string>> Fields::texts(std::string_view key, std::size_t max_items) const {
  const Json* value = get(key);
  std::vector<std::string> out;
  if (value == nullptr) return out;
  if (value->is_string()) {
    out.emplace_back(value->get_string());
    return out;
  }
  if (!value->is_array()) return wrong(key, "a string or a list of strings");
  STOA_TRY(list, array(key, max_items));
  for (const Json& item : *list) {
    if (!item.is_string()) return wrong(key, "a string or a list of strings");
    out.emplace_back(item.get_string());
  }
  return out;
}

Result<Metadata> Fields::metadata(std::string_view key) const {
  Metadata out;
  STOA_TRY(pairs, object(key));
  if (pairs == nullptr) return out;
  if (pairs->size() > kMaxMetadata) return wrong(key, fmt::format("an object of at most {} pairs", kMaxMetadata));
  for (const auto& [name, value] : *pairs) {
    if (!value.is_string() || name.size() > kMaxMetadataKey || value.get_string().size() > kMaxMetadataValue)
      return wrong(key, fmt::format("an object of strings, keys to {} and values to {} bytes", kMaxMetadataKey, kMaxMetadataValue));
    out.emplace(name, value.get_string());
  }
  return out;
}

namespace {

Result<JsonObject> body_of(std::string_view body, Result<Json> parsed) {
  if (body.empty())
    return fail(error(ErrorCode::kInvalidArgument, "the request has no body").with_hint("send one JSON object with content-type application/json"));
  if (!parsed) {
    if (parsed.error().code == ErrorCode::kTooLarge) return std::unexpected(std::move(parsed).error());
    return fail(error(ErrorCode::kInvalidArgument, "the request body is {}", parsed.error().message));
  }
  if (!parsed->is_object()) return fail(ErrorCode::kInvalidArgument, "the request body must be one JSON object");
  return std::move(parsed->get_object());
}

}  // namespace

Result<JsonObject> parse_body(std::string_view body) { return body_of(body, parse_json(body, kBodyLimits)); }
Result<JsonObject> parse_body(std::string_view body, JsonArena& arena) { return body_of(body, parse_json(body, arena, kBodyLimits)); }

JsonObject metadata_json(const Metadata& metadata) {
  JsonObject out;
  for (const auto& [key, value] : metadata) out[key] = value;
  return out;
}

}  // namespace stoa::gateway
