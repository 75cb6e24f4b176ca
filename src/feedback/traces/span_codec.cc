#include "feedback/traces/span_codec.h"

#include <limits>

#include "base/json.h"
#include "base/json_writer.h"

namespace stoa::feedback {
namespace {

constexpr auto kAnyInt = std::numeric_limits<std::int64_t>::max();

void write(JsonWriter& out, const AttributeValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) out.text(*text);
  else if (const auto* number = std::get_if<double>(&value)) out.real(*number);
  else if (const auto* flag = std::get_if<bool>(&value)) out.flag(*flag);
  else out.number(std::get<std::int64_t>(value));
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
  constexpr std::size_t kUsual = 192;  // bytes of a span
  std::string out;
  out.reserve(spans.size() * kUsual);
  JsonWriter writer(out);
  writer.array();
  for (const auto& span : spans) {
    writer.object().member("id", span.id);
    if (!span.parent_id.empty()) writer.member("parent", span.parent_id);
    writer.member("name", span.name).member("start", span.start).member("end", span.end);
    if (!span.error.empty()) writer.member("error", span.error);
    if (!span.attributes.empty()) {
      writer.key("attributes").object();
      for (const auto& [key, value] : span.attributes) write(writer.key(key), value);
      writer.end_object();
    }
    writer.end_object();
  }
  writer.end_array();
  return out;
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
