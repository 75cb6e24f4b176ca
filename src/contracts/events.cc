#include "contracts/events.h"

#include <limits>

#include "base/json_arena.h"
#include "base/json_writer.h"

namespace stoa {
namespace {

Result<JsonObject> object_of(std::string_view topic, std::string_view json, JsonArena& arena) {
  STOA_TRY(value, parse_json(json, arena));
  if (!value.is_object()) return fail(ErrorCode::kDataLoss, "an event of the topic '{}' is not a JSON object", topic);
  return std::move(value.as_object());
}

// Calls `field(name, member)` for every field, so that writing and reading cannot disagree.
template <class Event, class Field>
void each_field(Event& event, const Field& field) {
  field("request_id", event.request_id);
  field("trace_id", event.trace_id);
  field("principal", event.principal);
  field("tenant", event.tenant);
  field("project", event.project);
  field("action", event.action);
  field("resource", event.resource);
  field("kind", event.kind);
  field("model", event.model);
  field("status", event.status);
  field("error", event.error);
  field("answer_id", event.answer_id);
  field("answer", event.answer);
  field("elevation", event.elevation);
  field("prompt_tokens", event.usage.prompt_tokens);
  field("cached_tokens", event.usage.cached_tokens);
  field("completion_tokens", event.usage.completion_tokens);
  field("compute_micros", event.usage.compute_micros);
  field("queue_micros", event.usage.queue_micros);
  field("first_token_micros", event.usage.first_token_micros);
  field("total_micros", event.usage.total_micros);
  field("cost", event.cost);
  field("started", event.started);
  field("duration_micros", event.duration_micros);
}

class Reader {
 public:
  explicit Reader(const JsonObject& object) : object_(object) {}

  void operator()(std::string_view name, std::string& out) {
    if (auto value = read_string(object_, name); !value)
      keep(std::move(value).error());
    else if (*value)
      out = std::move(**value);
  }
  template <class Integer>
  void operator()(std::string_view name, Integer& out) {
    if (auto value = read_int(object_, name, std::numeric_limits<Integer>::min(), std::numeric_limits<Integer>::max()); !value)
      keep(std::move(value).error());
    else if (*value)
      out = static_cast<Integer>(**value);
  }
  const Status& status() const { return status_; }

 private:
  void keep(Error error) {
    if (status_) status_ = std::unexpected(std::move(error));
  }
  const JsonObject& object_;
  Status status_;
};

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

// Written without making values of JSON first, since every request waits for it.
std::string RequestFinished::to_json() const {
  constexpr std::size_t kNumbersAndNames = 768;
  std::string out;
  out.reserve(kNumbersAndNames + answer.size() + answer.size() / 8);
  JsonWriter writer(out);
  writer.object();
  each_field(*this, [&](std::string_view name, const auto& value) { writer.member(name, value); });
  writer.end_object();
  return out;
}

Result<RequestFinished> RequestFinished::parse(std::string_view json) {
  JsonArena arena;
  STOA_TRY(object, object_of(kTopic, json, arena));
  RequestFinished event;
  Reader read(object);
  each_field(event, [&](std::string_view name, auto& value) { read(name, value); });
  STOA_CHECK(read.status());
  return event;
}

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
