#include "gateway/api/openai/responses_json.h"

#include <algorithm>

#include "base/id.h"
#include "gateway/api/openai/constraint_json.h"
#include "gateway/api/openai/errors.h"
#include "gateway/api/openai/places.h"
#include "gateway/api/openai/tools_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxItems = 2048, kMaxStores = 16;
constexpr int kMaxResults = 50;

std::string indexed(std::string_view list, std::size_t i) { return fmt::format("{}[{}]", list, i); }

Result<std::optional<ChatMessage>> parse_call_item(const Fields& fields) {
  STOA_TRY(id, fields.required_text("call_id"));
  STOA_TRY(name, fields.required_text("name"));
  STOA_TRY(arguments, fields.required_text("arguments"));
  if (const auto json = parse_json(arguments); !json || !json->is_object()) return fields.wrong("arguments", "a JSON object, written as a string");
  ChatMessage out{"assistant", {}};
  out.tool_calls.push_back({std::move(id), std::move(name), std::move(arguments)});
  return out;
}

Result<std::optional<ChatMessage>> parse_call_output(const Fields& fields) {
  ChatMessage out{"tool", {}};
  STOA_TRY(id, fields.required_text("call_id"));
  out.tool_call_id = std::move(id);
  STOA_CHECK(parse_content(fields, "output", {"input_text", "output_text", "text"}, "", out));
  return out;
}

// The calls of one turn are one message, whichever items they came in; so are they and the text before them.
void add_message(std::vector<ChatMessage>& messages, ChatMessage message) {
  if (!message.tool_calls.empty() && !messages.empty() && messages.back().role == "assistant") {
    std::ranges::move(message.tool_calls, std::back_inserter(messages.back().tool_calls));
  } else {
    messages.push_back(std::move(message));
  }
}

Result<std::optional<ChatMessage>> parse_item(const Json& item, const std::string& path) {
  const JsonObject* object = item.if_object();
  if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
  const Fields fields(*object, path);
  STOA_TRY(type, fields.text_or("type", "message"));
  if (type == "file_search_call" || type == "reasoning") return std::nullopt;  // earlier output sent back: holds no turn of its own
  if (type == "function_call") return parse_call_item(fields);
  if (type == "function_call_output") return parse_call_output(fields);
  if (type != "message") return fields.unsupported("type", fmt::format("items of type '{}' are not served", type));
  STOA_TRY(role, fields.required_text("role"));
  if (role == "developer") role = "system";
  if (role != "system" && role != "user" && role != "assistant") return fields.wrong("role", "one of system, developer, user, assistant");
  ChatMessage out{std::move(role), {}};
  STOA_CHECK(parse_content(fields, "content", {"input_text", "output_text", "text"}, out.role == "user" ? "input_image" : "", out));
  return out;
}

Status parse_input(const Fields& body, ResponseCall& call) {
  const Json* input = body.get("input");
  if (input == nullptr) return body.wrong("input", "a string or a list of items; it is required");
  if (input->is_string()) {
    if (input->get_string().empty()) return body.wrong("input", "non-empty");
    call.request.messages.push_back({"user", std::string(input->get_string())});
    return {};
  }
  if (!input->is_array()) return body.wrong("input", "a string or a list of items");
  STOA_TRY(items, body.array("input", kMaxItems));
  for (std::size_t i = 0; i < items->size(); ++i) {
    STOA_TRY(message, parse_item((*items)[i], indexed("input", i)));
    if (message) add_message(call.request.messages, std::move(*message));
  }
  if (call.request.messages.empty()) return body.wrong("input", "non-empty");
  return {};
}

Result<FileSearchTool> parse_file_search(const Fields& tool) {
  FileSearchTool out;
  STOA_TRY(stores, tool.array("vector_store_ids", kMaxStores));
  if (stores == nullptr || stores->empty()) return tool.wrong("vector_store_ids", "a non-empty list of vector store ids; it is required");
  for (const Json& store : *stores) {
    if (!store.is_string()) return tool.wrong("vector_store_ids", "a list of strings");
    out.stores.emplace_back(store.get_string());
  }
  STOA_TRY(max_results, tool.integer_or("max_num_results", 1, kMaxResults, out.max_results));
  out.max_results = static_cast<int>(max_results);
  STOA_TRY(ranking, tool.object("ranking_options"));
  if (ranking != nullptr) {
    STOA_TRY(threshold, Fields(*ranking, tool.path("ranking_options")).number_or("score_threshold", 0, 1, 0));
    out.score_threshold = threshold;
  }
  STOA_TRY(filters, tool.object("filters"));
  if (filters != nullptr) {
    STOA_TRY(filter, parse_filter(*filters, tool.path("filters")));
    out.filter = std::move(filter);
  }
  return out;
}

Status parse_tool_choice(const Fields& body, ResponseCall& call) {
  const Json* choice = body.get("tool_choice");
  if (choice == nullptr) return {};
  call.tool_choice = *choice;
  const JsonObject* object = choice->if_object();
  const Json kind = object == nullptr ? *choice : object->contains("type") ? object->at("type") : Json(nullptr);
  if (!kind.is_string()) return body.wrong("tool_choice", "a string or an object with 'type'");
  const std::string_view name = kind.get_string();
  call.search_allowed = name != "none";
  if (name == "file_search" || (name == "required" && call.file_search)) {
    if (!call.file_search) return body.wrong("tool_choice", "'auto' or 'none' when no tool is given");
    return {};
  }
  if (object == nullptr) return set_tool_choice(body, name == "function" ? "" : name, "", call.request);
  if (name != "function") return Fields(*object, "tool_choice").unsupported("type", "only 'function' and 'file_search' are served");
  STOA_TRY(function, Fields(*object, "tool_choice").required_text("name"));
  return set_tool_choice(body, "function", function, call.request);
}

Status parse_tools(const Fields& body, ResponseCall& call) {
  STOA_TRY(tools, body.array("tools", kMaxFunctions));
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = indexed("tools", i);
    const JsonObject* object = (*tools)[i].if_object();
    if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
    const Fields tool(*object, path);
    STOA_TRY(type, tool.required_text("type"));
    call.tools.push_back(*object);
    if (type == "function") {
      STOA_TRY(function, parse_function(tool, true));
      call.tools.back().get_object()["strict"] = function.strict;
      call.request.tools.push_back(std::move(function));
      continue;
    }
    if (type != "file_search") return tool.unsupported("type", fmt::format("tools of type '{}' are not served, only function and file_search", type));
    if (call.file_search) return body.unsupported("tools", "one file_search tool a request; name all vector stores in it");
    STOA_TRY(search, parse_file_search(tool));
    call.file_search = std::move(search);
  }
  if (call.file_search && !call.request.tools.empty()) return body.unsupported("tools", "file_search and functions in one request; ask for one, then for the other");
  STOA_TRY(parallel, body.flag_or("parallel_tool_calls", true));
  call.request.parallel_tool_calls = parallel;
  return parse_tool_choice(body, call);
}

Status parse_text(const Fields& body, ResponseCall& call) {
  STOA_TRY(text, body.object("text"));
  if (text == nullptr) return {};
  STOA_TRY(format, Fields(*text, "text").object("format"));
  if (format == nullptr) return {};
  STOA_TRY(constraint, parse_format(Fields(*format, "text.format"), true));
  if (constraint && call.file_search) return body.unsupported("text.format", "answers from documents are text; leave it out, or leave out file_search");
  call.request.constraint = std::move(constraint);
  call.format = *format;
  return {};
}

Status parse_include(const Fields& body, ResponseCall& call) {
  STOA_TRY(include, body.array("include", 16));
  for (std::size_t i = 0; include != nullptr && i < include->size(); ++i) {
    const Json& item = (*include)[i];
    if (!item.is_string() || item.get_string() != "file_search_call.results") {
      return fail(error(ErrorCode::kInvalidArgument, "'include[{}]' is not supported here: only 'file_search_call.results' is", i)
                      .with_param(indexed("include", i)));
    }
    call.include_results = true;
  }
  return {};
}

// Fields that would change the answer if they were silently ignored.
Status refuse_unserved(const Fields& body) {
  for (const std::string_view key : {"conversation", "prompt", "max_tool_calls"})
    if (body.has(key)) return body.unsupported(key, "leave it out");
  STOA_TRY(top_logprobs, body.integer_or("top_logprobs", 0, 20, 0));
  if (top_logprobs > 0) return body.unsupported("top_logprobs", "use logprobs on /v1/chat/completions");
  return {};
}

Status parse_answer_mode(const Fields& body, ResponseCall& call) {
  const auto wanted = call.metadata.find("stoa.answer");
  if (wanted == call.metadata.end() || wanted->second == "generative") return {};
  if (wanted->second != "extractive") return body.wrong("metadata.stoa.answer", "'generative' or 'extractive'");
  if (!call.file_search || !call.search_allowed) return body.wrong("tools", "given with file_search for an extractive answer");
  call.extractive = true;
  return {};
}

JsonObject response_usage_json(const UsageReport& report) {
  JsonObject input, output, out;
  input["cached_tokens"] = report.usage.cached_tokens;
  output["reasoning_tokens"] = report.usage.reasoning_tokens;
  out["input_tokens"] = report.usage.prompt_tokens;
  out["input_tokens_details"] = std::move(input);
  out["output_tokens"] = report.usage.completion_tokens;
  out["output_tokens_details"] = std::move(output);
  out["total_tokens"] = report.usage.prompt_tokens + report.usage.completion_tokens;
  out["stoa"] = stoa_json(report);
  return out;
}

Json response_error_json(const Error& error) {
  const JsonObject wire = to_wire(error).body;
  const JsonObject& inner = wire.at("error").get_object();
  JsonObject out;
  out["code"] = error.code == ErrorCode::kResourceExhausted ? Json("rate_limit_exceeded") : Json("server_error");
  out["message"] = inner.at("message");
  return out;
}

// How an answer came from documents.
JsonObject grounds_json(const ResponseRecord& record) {
  JsonArray unsupported;
  for (const AnswerRange& range : record.unsupported) unsupported.push_back(JsonObject{{"start_index", range.begin}, {"end_index", range.end}});
  JsonObject out;
  out["answer"] = record.mode;
  if (record.search) out["search"] = JsonObject{{"query", record.search->query}, {"how", record.search->how}};
  out["dropped_sentences"] = record.dropped_sentences;
  out["unsupported"] = std::move(unsupported);
  return out;
}

// In the order in which they stand: the texts between images, and the images.
JsonArray input_parts_json(const ChatMessage& message) {
  JsonArray content;
  std::size_t at = 0;
  const auto text_until = [&](std::size_t end) {
    JsonObject part;
    part["type"] = message.role == "assistant" ? "output_text" : "input_text";
    part["text"] = std::string_view(message.content).substr(at, end - at);
    if (message.role == "assistant") part["annotations"] = JsonArray();
    if (end > at || message.images.empty()) content.emplace_back(std::move(part));
    at = end;
  };
  for (const ChatImage& image : message.images) {
    text_until(image.at);
    JsonObject part;
    part["type"] = "input_image";
    part["image_url"] = image.data.empty() ? image.url : fmt::format("data:{};base64,{}", image.media_type, image.data);
    part["detail"] = image.detail.empty() ? "auto" : image.detail;
    content.emplace_back(std::move(part));
  }
  text_until(message.content.size());
  return content;
}

JsonObject input_message_json(const ChatMessage& message) {
  JsonObject item;
  JsonArray content = input_parts_json(message);
  item["id"] = new_id("msg");
  item["type"] = "message";
  item["status"] = "completed";
  item["role"] = message.role;
  item["content"] = std::move(content);
  return item;
}

Json text_or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

}  // namespace

Result<ResponseCall> parse_response_call(const JsonObject& object) {
  const Fields body(object);
  STOA_CHECK(refuse_unserved(body));
  ResponseCall call;
  STOA_TRY(model, body.text_or("model", ""));
  call.request.model = std::move(model);
  STOA_CHECK(parse_input(body, call));
  STOA_CHECK(parse_tools(body, call));
  STOA_CHECK(parse_text(body, call));
  STOA_CHECK(parse_include(body, call));
  STOA_TRY(reasoning, body.object("reasoning"));
  if (reasoning != nullptr) {
    STOA_TRY(effort, parse_effort(Fields(*reasoning, "reasoning"), "effort"));
    call.request.reasoning_effort = std::move(effort);
  }
  STOA_TRY(priority, parse_tier(body));
  call.request.priority = priority;
  STOA_TRY(sampling, parse_sampling(body));
  call.request.sampling = std::move(sampling);
  call.own_temperature = find(object, "temperature") != nullptr;
  STOA_TRY(max_tokens, body.integer_or("max_output_tokens", 1, 1 << 20, 0));
  call.request.max_tokens = static_cast<int>(max_tokens);
  STOA_TRY(instructions, body.text_or("instructions", ""));
  call.instructions = std::move(instructions);
  STOA_TRY(previous, body.text_or("previous_response_id", ""));
  if (!previous.empty() && !is_id(previous, "resp")) return body.wrong("previous_response_id", "an id that begins with resp_");
  call.previous_response_id = std::move(previous);
  STOA_TRY(truncation, body.text_or("truncation", "disabled"));
  if (truncation != "auto" && truncation != "disabled") return body.wrong("truncation", "'auto' or 'disabled'");
  call.truncate = truncation == "auto";
  STOA_TRY(store, body.flag_or("store", true));
  call.store = store;
  STOA_TRY(background, body.flag_or("background", false));
  if (background && !store) return body.unsupported("background", "it needs 'store', since its answer is asked for later");
  call.background = background;
  STOA_TRY(stream, body.flag_or("stream", false));
  call.stream = stream;
  STOA_TRY(metadata, body.metadata());
  call.metadata = std::move(metadata);
  STOA_CHECK(parse_answer_mode(body, call));
  return call;
}

std::string_view status_name(ResponseStatus status) {
  switch (status) {
    case ResponseStatus::kQueued: return "queued";
    case ResponseStatus::kInProgress: return "in_progress";
    case ResponseStatus::kCompleted: return "completed";
    case ResponseStatus::kIncomplete: return "incomplete";
    case ResponseStatus::kFailed: return "failed";
    case ResponseStatus::kCancelled: return "cancelled";
  }
  return "failed";
}

JsonObject annotation_json(const Annotation& annotation) {
  JsonObject out;
  out["type"] = "file_citation";
  out["index"] = annotation.end;
  out["file_id"] = wire_file_id(annotation.passage);
  out["filename"] = file_name(annotation.passage);
  out["start_index"] = annotation.begin;
  out["end_index"] = annotation.end;
  add_place(out, annotation.passage);
  out["quote"] = annotation.quote;
  out["url"] = text_or_null(annotation.url);
  out["stoa"] = JsonObject{{"chunk_id", annotation.passage.chunk_id}, {"of", annotation.in_context ? "section" : "passage"}, {"start", annotation.from}, {"end", annotation.to},
                           {"support", annotation.support}, {"judged", annotation.judged}};
  return out;
}

JsonObject content_part_json(const std::string& text, const std::vector<Annotation>& annotations) {
  JsonArray list;
  for (const Annotation& annotation : annotations) list.emplace_back(annotation_json(annotation));
  JsonObject part;
  part["type"] = "output_text";
  part["text"] = text;
  part["annotations"] = std::move(list);
  part["logprobs"] = JsonArray();
  return part;
}

JsonObject message_item_json(const ResponseRecord& record) {
  JsonArray content;
  if (record.message_done) content.emplace_back(content_part_json(record.text, record.annotations));
  JsonObject item;
  item["id"] = record.message_id;
  item["type"] = "message";
  item["status"] = !record.message_done ? "in_progress" : record.status == ResponseStatus::kIncomplete || record.status == ResponseStatus::kCancelled ? "incomplete" : "completed";
  item["role"] = "assistant";
  item["content"] = std::move(content);
  return item;
}

JsonObject call_item_json(const FunctionCall& call, ResponseStatus status) {
  JsonObject item;
  item["id"] = call.id;
  item["type"] = "function_call";
  item["status"] = call.done ? "completed" : status == ResponseStatus::kInProgress ? "in_progress" : "incomplete";
  item["call_id"] = call.call.id;
  item["name"] = call.call.name;
  item["arguments"] = call.call.arguments;
  return item;
}

JsonObject search_item_json(const SearchCall& search, bool include_results) {
  JsonObject item;
  item["id"] = search.id;
  item["type"] = "file_search_call";
  item["status"] = search.done ? "completed" : "in_progress";
  JsonArray queries;
  queries.emplace_back(search.query);
  item["queries"] = std::move(queries);
  item["results"] = nullptr;
  if (!include_results || !search.done) return item;
  JsonArray results;
  for (const SearchHit& hit : search.hits) {
    JsonObject result;
    result["file_id"] = wire_file_id(hit.passage);
    result["filename"] = file_name(hit.passage);
    result["score"] = hit.passage.score;
    result["attributes"] = hit.attributes;
    result["text"] = hit.passage.text;
    result["vector_store_id"] = hit.passage.collection;
    add_place(result, hit.passage);
    results.emplace_back(std::move(result));
  }
  item["results"] = std::move(results);
  return item;
}

JsonObject response_json(const ResponseCall& call, const ResponseRecord& record) {
  JsonArray output;
  if (record.search) output.emplace_back(search_item_json(*record.search, call.include_results));
  for (std::size_t i = 0; i <= record.calls.size(); ++i) {
    if (record.message_done && record.message_after == i) output.emplace_back(message_item_json(record));
    if (i < record.calls.size()) output.emplace_back(call_item_json(record.calls[i], record.status));
  }
  JsonObject incomplete, reasoning, format, text;
  incomplete["reason"] = record.filtered ? "content_filter" : "max_output_tokens";
  reasoning["effort"] = text_or_null(call.request.reasoning_effort);
  reasoning["summary"] = nullptr;
  format["type"] = "text";
  text["format"] = call.format.is_null() ? Json(std::move(format)) : call.format;

  JsonObject out;
  out["id"] = record.id;
  out["object"] = "response";
  out["created_at"] = record.created;
  out["status"] = status_name(record.status);
  out["background"] = call.background;
  out["error"] = record.error ? response_error_json(*record.error) : Json(nullptr);
  out["incomplete_details"] = record.status == ResponseStatus::kIncomplete ? Json(std::move(incomplete)) : Json(nullptr);
  out["instructions"] = text_or_null(call.instructions);
  out["max_output_tokens"] = call.request.max_tokens > 0 ? Json(call.request.max_tokens) : Json(nullptr);
  out["model"] = call.request.model;
  out["output"] = std::move(output);
  out["parallel_tool_calls"] = call.request.parallel_tool_calls;
  out["previous_response_id"] = text_or_null(call.previous_response_id);
  out["reasoning"] = std::move(reasoning);
  out["service_tier"] = tier_name(call.request.priority);
  out["store"] = call.store;
  out["temperature"] = call.request.sampling.temperature;
  out["text"] = std::move(text);
  out["tool_choice"] = call.tool_choice;
  out["tools"] = call.tools;
  out["top_p"] = call.request.sampling.top_p;
  out["truncation"] = call.truncate ? "auto" : "disabled";
  out["usage"] = record.usage ? Json(response_usage_json(*record.usage)) : Json(nullptr);
  out["metadata"] = metadata_json(call.metadata);
  if (!record.mode.empty()) out["stoa"] = grounds_json(record);
  return out;
}

JsonArray input_items_json(const std::vector<ChatMessage>& messages) {
  JsonArray items;
  for (const ChatMessage& message : messages) {
    if (message.role == "tool") {
      JsonObject item;
      item["id"] = new_id("fco");
      item["type"] = "function_call_output";
      item["status"] = "completed";
      item["call_id"] = message.tool_call_id;
      item["output"] = message.content;
      items.emplace_back(std::move(item));
      continue;
    }
    if (!message.content.empty() || !message.images.empty() || message.tool_calls.empty()) items.emplace_back(input_message_json(message));
    for (const ToolCall& call : message.tool_calls)
      items.emplace_back(call_item_json({.id = new_id("fc"), .call = call, .done = true}, ResponseStatus::kCompleted));
  }
  return items;
}

Result<std::vector<ChatMessage>> stored_turn(const JsonArray& input_items, const JsonObject& response) {
  std::vector<ChatMessage> turn;
  const auto append = [&](const Json& item, const std::string& path) -> Status {
    STOA_TRY(message, parse_item(item, path));
    if (message) add_message(turn, std::move(*message));
    return {};
  };
  for (std::size_t i = 0; i < input_items.size(); ++i) STOA_CHECK(append(input_items[i], indexed("input", i)));
  STOA_TRY(output, Fields(response).array("output", kMaxItems));
  for (std::size_t i = 0; output != nullptr && i < output->size(); ++i) STOA_CHECK(append((*output)[i], indexed("output", i)));
  return turn;
}

}  // namespace stoa::gateway::openai
