#include "contracts/events.h"

#include "base/json_arena.h"

namespace stoa {
namespace {

Result<JsonObject> object_of(std::string_view topic, std::string_view json, JsonArena& arena) {
  STOA_TRY(value, parse_json(json, arena));
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "an event of the topic '{}' is not a JSON object", topic);
  return std::move(value.as_object());
}

// Events that are a list of names.
std::string list_text(std::string_view name, const std::vector<std::string>& texts) { return dump_json(JsonObject{{name, JsonArray(texts.begin(), texts.end())}}); }

Result<std::vector<std::string>> read_list(std::string_view topic, std::string_view name, std::string_view json) {
  JsonArena arena;
  STOA_TRY(object, object_of(topic, json, arena));
  const Json* list = find(object, name);
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::kDataLoss, "an event of the topic '{}' has no list of {}", topic, name);
  std::vector<std::string> texts;
  for (const Json& text : list->get_array()) {
    if (!text.is_string()) return fail(ErrorCode::kDataLoss, "an event of the topic '{}' has among its {} what is no text", topic, name);
    texts.emplace_back(text.get_string());
  }
  return texts;
}

}  // namespace

std::string DocumentsChanged::to_json() const { return list_text("documents", documents); }

Result<DocumentsChanged> DocumentsChanged::parse(std::string_view json) {
  STOA_TRY(documents, read_list(kTopic, "documents", json));
  return DocumentsChanged{std::move(documents)};
}

std::string BlobsReleased::to_json() const { return list_text("digests", digests); }

Result<BlobsReleased> BlobsReleased::parse(std::string_view json) {
  STOA_TRY(digests, read_list(kTopic, "digests", json));
  return BlobsReleased{std::move(digests)};
}

}  // namespace stoa
