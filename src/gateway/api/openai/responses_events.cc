#include "gateway/api/openai/responses_events.h"

namespace stoa::gateway::openai {

bool ResponseEvents::emit(std::string_view type, JsonObject fields) {
  JsonObject event;
  event["type"] = type;
  event["sequence_number"] = sequence_++;
  for (auto& field : fields) event[field.key()] = std::move(field.value());
  return write_(type, event);
}

bool ResponseEvents::emit_response(std::string_view type) {
  JsonObject fields;
  fields["response"] = response_json(call_, record_);
  return emit(type, std::move(fields));
}

bool ResponseEvents::begin() { return emit_response("response.created") && emit_response("response.in_progress"); }

bool ResponseEvents::search_begin() {
  JsonObject added, place;
  place["output_index"] = 0;
  added = place;
  added["item"] = search_item_json(*record_.search, call_.include_results);
  place["item_id"] = record_.search->id;
  return emit("response.output_item.added", std::move(added)) && emit("response.file_search_call.in_progress", place) &&
         emit("response.file_search_call.searching", place);
}

bool ResponseEvents::search_end() {
  JsonObject place, done;
  place["output_index"] = 0;
  done = place;
  done["item"] = search_item_json(*record_.search, call_.include_results);
  place["item_id"] = record_.search->id;
  return emit("response.file_search_call.completed", std::move(place)) && emit("response.output_item.done", std::move(done));
}

JsonObject ResponseEvents::part_place() const {
  JsonObject place;
  place["item_id"] = record_.message_id;
  place["output_index"] = message_index();
  place["content_index"] = 0;
  return place;
}

bool ResponseEvents::open_message() {
  if (message_open_) return true;
  message_open_ = true;
  JsonObject added;
  added["output_index"] = message_index();
  added["item"] = message_item_json(record_);
  JsonObject part = part_place();
  part["part"] = content_part_json("", {});
  return emit("response.output_item.added", std::move(added)) && emit("response.content_part.added", std::move(part));
}

bool ResponseEvents::text(std::string_view delta) {
  if (delta.empty()) return true;
  if (!open_message()) return false;
  JsonObject fields = part_place();
  fields["delta"] = delta;
  fields["logprobs"] = JsonArray();
  return emit("response.output_text.delta", std::move(fields));
}

JsonObject ResponseEvents::call_place() const {
  const std::size_t last = record_.calls.size() - 1;
  const bool behind_message = record_.message_after && *record_.message_after <= last;
  JsonObject place;
  place["item_id"] = record_.calls.back().id;
  place["output_index"] = last + (record_.search ? 1 : 0) + (behind_message ? 1 : 0);
  return place;
}

bool ResponseEvents::call_begin() {
  JsonObject added;
  added["output_index"] = call_place()["output_index"];
  added["item"] = call_item_json(record_.calls.back(), ResponseStatus::kInProgress);
  return emit("response.output_item.added", std::move(added));
}

bool ResponseEvents::call_arguments(std::string_view delta) {
  JsonObject fields = call_place();
  fields["delta"] = delta;
  return emit("response.function_call_arguments.delta", std::move(fields));
}

bool ResponseEvents::call_end() {
  const FunctionCall& call = record_.calls.back();
  JsonObject arguments = call_place(), done;
  arguments["name"] = call.call.name;
  arguments["arguments"] = call.call.arguments;
  done["output_index"] = arguments["output_index"];
  done["item"] = call_item_json(call, record_.status == ResponseStatus::kInProgress ? ResponseStatus::kCompleted : record_.status);
  return emit("response.function_call_arguments.done", std::move(arguments)) && emit("response.output_item.done", std::move(done));
}

bool ResponseEvents::end() {
  if (record_.status == ResponseStatus::kFailed) return emit_response("response.failed");
  if (record_.message_after && !end_message()) return false;
  return emit_response(record_.status == ResponseStatus::kCompleted ? "response.completed" : "response.incomplete");
}

bool ResponseEvents::end_message() {
  if (!open_message()) return false;
  for (std::size_t i = 0; i < record_.annotations.size(); ++i) {
    JsonObject fields = part_place();
    fields["annotation_index"] = i;
    fields["annotation"] = annotation_json(record_.annotations[i]);
    if (!emit("response.output_text.annotation.added", std::move(fields))) return false;
  }
  JsonObject text = part_place(), part = part_place(), item;
  text["text"] = record_.text;
  text["logprobs"] = JsonArray();
  part["part"] = content_part_json(record_.text, record_.annotations);
  item["output_index"] = message_index();
  item["item"] = message_item_json(record_);
  return emit("response.output_text.done", std::move(text)) && emit("response.content_part.done", std::move(part)) &&
         emit("response.output_item.done", std::move(item));
}

}  // namespace stoa::gateway::openai
