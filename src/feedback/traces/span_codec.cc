#include "feedback/traces/span_codec.h"

#include <cmath>
#include <limits>

#include "base/json.h"
#include "base/utf8.h"

namespace stoa::feedback {
namespace {

constexpr auto kAnyInt = std::numeric_limits<std::int64_t>::max();

Json to_json(const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return Json(to_valid_utf8(*text));
  if (const auto* number = std::get_if<double>(&value)) return std::isfinite(*number) ? Json(*number) : Json(nullptr);
  if (const auto* flag = std::get_if<bool>(&value)) return Json(*flag);
  return Json(std::get<std::int64_t>(value));
}

std::optional<AttributeValue> from_json(const Json& value) {
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_double()) return value.get_double();
  if (value.is_bool()) return value.get_bool();
  if (value.is_int64()) return value.get_int64();
  return std::nullopt;
}

Result<SpanRecord> decode(const JsonObject& object) {
  SpanRecord span;
  STOA_TRY(id, read_string(object, "id"));
  STOA_TRY(parent, read_string(object, "parent"));
  STOA_TRY(name, read_string(object, "name"));
  STOA_TRY(error, read_string(object, "error"));
  STOA_TRY(start, read_int(object, "start", -kAnyInt, kAnyInt));
  STOA_TRY(end, read_int(object, "end", -kAnyInt, kAnyInt));
  span.id = id.value_or("");
  span.parent_id = parent.value_or("");
  span.name = name.value_or("");
  span.error = error.value_or("");
  span.start = start.value_or(0);
  span.end = end.value_or(0);
  if (const Json* attributes = find(object, "attributes"); attributes != nullptr && attributes->is_object())
    for (const auto& [key, value] : attributes->get_object())
      if (auto read = from_json(value)) span.attributes.emplace_back(key, std::move(*read));
  return span;
}

}  // namespace

std::string encode_spans(const std::vector<SpanRecord>& spans) {
  JsonArray array;
  for (const auto& span : spans) {
    JsonObject object{{"id", span.id}};
    if (!span.parent_id.empty()) object["parent"] = span.parent_id;
    object["name"] = to_valid_utf8(span.name);
    object["start"] = span.start;
    object["end"] = span.end;
    if (!span.error.empty()) object["error"] = to_valid_utf8(span.error);
    if (!span.attributes.empty()) {
      JsonObject attributes;
      for (const auto& [key, value] : span.attributes) attributes[to_valid_utf8(key)] = to_json(value);
      object["attributes"] = std::move(attributes);
    }
    array.push_back(std::move(object));
  }
  return dump_json(array);
}

Result<std::vector<SpanRecord>> decode_spans(std::string_view text) {
  const auto damaged = [](std::string_view why) { return fail(ErrorCode::kDataLoss, "the stored spans are damaged: {}", why); };
  const auto json = parse_json(text);
  if (!json) return damaged(json.error().message);
  if (!json->is_array()) return damaged("not an array");
  std::vector<SpanRecord> spans;
  for (const auto& item : json->get_array()) {
    if (!item.is_object()) return damaged("an entry is not an object");
    auto span = decode(item.get_object());
    if (!span) return damaged(span.error().message);
    spans.push_back(std::move(*span));
  }
  return spans;
}

}  // namespace stoa::feedback
