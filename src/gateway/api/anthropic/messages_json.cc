#include "gateway/api/anthropic/messages_json.h"

#include <algorithm>
#include <set>

#include "gateway/api/images.h"

namespace stoa::gateway::anthropic {
namespace {

constexpr std::size_t kMaxMessages = 2048, kMaxBlocks = 256, kMaxTools = 128, kMaxStops = 16;
constexpr std::int64_t kMaxTokens = 1 << 20;
constexpr std::string_view kFailedTool = "Error: ";  // models know of no other way to tell that a tool failed

struct Refusal {
  std::string_view key, next_step;
};

// Known fields of the protocol that would change the answer, or where it is made, if they were silently ignored.
constexpr Refusal kRefused[] = {
    {"container", "this server runs no containers"},
    {"context_management", "send the conversation as it is to be read"},
    {"inference_geo", "where a model runs is the operator's choice: name a model that runs where you want it"},
    {"mcp_servers", "this server calls no tools by itself"},
};

std::string indexed(const std::string& list, std::size_t i) { return fmt::format("{}[{}]", list, i); }

Result<const JsonObject*> object_in(const JsonArray& list, std::size_t i, const std::string& path) {
  const JsonObject* object = list[i].if_object();
  if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
  return object;
}

Result<std::string> block_text(const Fields& block, std::string_view key) {
  STOA_TRY(text, block.text(key));
  if (!text) return block.wrong(key, "a string; it is required");
  return std::move(*text);
}

std::unexpected<Error> unserved(const Fields& block, std::string_view type, std::string_view served) {
  return block.unsupported("type", fmt::format("blocks of type '{}' are not served, only {}", type, served));
}

// Calls `each(block, type)` for every block of the list at `key`.
template <class Each>
Status each_block(const Fields& fields, std::string_view key, const Each& each) {
  STOA_TRY(blocks, fields.array(key, kMaxBlocks));
  for (std::size_t i = 0; i < blocks->size(); ++i) {
    const std::string path = indexed(fields.path(key), i);
    STOA_TRY(object, object_in(*blocks, i, path));
    const Fields block(*object, path);
    STOA_TRY(type, block.required_text("type"));
    STOA_CHECK(each(block, type));
  }
  return {};
}

// A string, or a list of blocks of text, put together with `between`.
Result<std::string> texts_of(const Fields& fields, std::string_view key, std::string_view between) {
  const Json* value = fields.get(key);
  if (value != nullptr && value->is_string()) return std::string(value->get_string());
  if (value == nullptr || !value->is_array()) return fields.wrong(key, "a string or a list of blocks");
  std::string out;
  STOA_CHECK(each_block(fields, key, [&](const Fields& block, std::string_view type) -> Status {
    if (type != "text") return unserved(block, type, "text");
    STOA_TRY(text, block_text(block, "text"));
    if (!out.empty()) out += between;
    out += text;
    return {};
  }));
  return out;
}

// {"source": {"type": "base64", "media_type", "data"}} or {"source": {"type": "url", "url"}}.
Result<ChatImage> block_image(const Fields& block) {
  STOA_TRY(object, block.object("source"));
  if (object == nullptr) return block.wrong("source", "an object; it is required");
  const Fields source(*object, block.path("source"));
  STOA_TRY(type, source.required_text("type"));
  if (type == "url") {
    STOA_TRY(url, source.required_text("url"));
    return image_of_url(url, source.path("url"));
  }
  if (type != "base64") return source.unsupported("type", "only 'base64' and 'url' are served");
  STOA_TRY(media_type, source.required_text("media_type"));
  STOA_TRY(data, source.required_text("data"));
  return image_of_data(media_type, data, source.path("data"));
}

// A block of text or an image, at the end of `out`.
Status add_content(const Fields& block, std::string_view type, std::string_view served, ChatMessage& out) {
  if (type == "image") {
    STOA_TRY(image, block_image(block));
    image.at = out.content.size();
    out.images.push_back(std::move(image));
    return {};
  }
  if (type != "text") return unserved(block, type, served);
  STOA_TRY(text, block_text(block, "text"));
  out.content += text;
  return {};
}

// Reads `messages`. Ids of calls are kept, since results have to answer one that was made before.
class Conversation {
 public:
  Status add(const Fields& message) {
    STOA_TRY(role, message.required_text("role"));
    if (role != "user" && role != "assistant" && role != "system") return message.wrong("role", "one of user, assistant, system");
    const Json* content = message.get("content");
    if (content == nullptr || !(content->is_string() || content->is_array())) return message.wrong("content", "a string or a list of blocks; it is required");
    if (content->is_string() || role == "system") {
      STOA_TRY(text, texts_of(message, "content", "\n\n"));
      messages_.push_back({std::move(role), std::move(text)});
      return {};
    }
    return role == "user" ? user(message) : assistant(message);
  }

  std::vector<ChatMessage> take() && { return std::move(messages_); }
  std::vector<MessageDocument> take_documents() { return std::move(documents_); }

 private:
  Status user(const Fields& message) {
    const std::size_t before = messages_.size();
    bool in_text = false;
    STOA_CHECK(each_block(message, "content", [&](const Fields& block, std::string_view type) -> Status {
      if (type == "tool_result") {
        in_text = false;
        return tool_result(block);
      }
      if (!in_text) messages_.push_back({"user", {}});
      in_text = true;
      if (is_document(type)) return document(block, type, messages_.size() - 1, messages_.back().content.size());
      return add_content(block, type, "text, image, document, search_result and tool_result", messages_.back());
    }));
    if (messages_.size() == before) messages_.push_back({"user", {}});
    return {};
  }

  Status tool_result(const Fields& block) {
    STOA_TRY(id, block.required_text("tool_use_id"));
    if (!called_.contains(id)) return block.wrong("tool_use_id", "the id of a tool_use block of a message before this one");
    ChatMessage result{"tool", {}};
    STOA_TRY(failed, block.flag_or("is_error", false));
    if (failed) result.content = kFailedTool;
    const Json* content = block.get("content");
    if (content != nullptr && content->is_array()) {
      STOA_CHECK(each_block(block, "content", [&](const Fields& piece, std::string_view type) -> Status {
        if (is_document(type)) return document(piece, type, messages_.size(), result.content.size());
        return add_content(piece, type, "text, image, document and search_result", result);
      }));
    } else if (content != nullptr) {
      STOA_TRY(text, texts_of(block, "content", ""));
      result.content += text;
    }
    result.tool_call_id = std::move(id);
    messages_.push_back(std::move(result));
    return {};
  }

  static bool is_document(std::string_view type) { return type == "document" || type == "search_result"; }

  // All of them are cited, or none.
  Status document(const Fields& block, std::string_view type, std::size_t message, std::size_t at) {
    STOA_TRY(read, parse_document_block(block, type));
    read.message = message;
    read.at = at;
    if (!documents_.empty() && documents_.front().cited != read.cited) return block.wrong("citations", "enabled for all documents or for none");
    documents_.push_back(std::move(read));
    return {};
  }

  Status assistant(const Fields& message) {
    ChatMessage out{"assistant", {}};
    STOA_CHECK(each_block(message, "content", [&](const Fields& block, std::string_view type) -> Status {
      if (type == "redacted_thinking") return {};  // says nothing to other models than the one that wrote it
      if (type == "tool_use") return tool_use(block, out);
      const bool thought = type == "thinking";
      if (!thought && type != "text") return unserved(block, type, "text, thinking and tool_use");
      STOA_TRY(text, block_text(block, type));
      (thought ? out.reasoning : out.content) += text;
      return {};
    }));
    messages_.push_back(std::move(out));
    return {};
  }

  Status tool_use(const Fields& block, ChatMessage& out) {
    STOA_TRY(id, block.required_text("id"));
    STOA_TRY(name, block.required_text("name"));
    STOA_TRY(input, block.object("input"));
    if (input == nullptr) return block.wrong("input", "an object; it is required");
    called_.insert(id);
    out.tool_calls.push_back({std::move(id), std::move(name), dump_json(*input)});
    return {};
  }

  std::vector<ChatMessage> messages_;
  std::vector<MessageDocument> documents_;
  std::set<std::string> called_;
};

Result<std::vector<ChatMessage>> parse_messages(const Fields& body, std::vector<MessageDocument>& documents) {
  Conversation conversation;
  STOA_TRY(messages, body.array("messages", kMaxMessages));
  if (messages == nullptr || messages->empty()) return body.wrong("messages", "a non-empty list; it is required");
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const std::string path = indexed("messages", i);
    STOA_TRY(object, object_in(*messages, i, path));
    STOA_CHECK(conversation.add(Fields(*object, path)));
  }
  documents = conversation.take_documents();
  std::vector<ChatMessage> out = std::move(conversation).take();
  if (out.back().role == "assistant") {
    return fail(error(ErrorCode::kInvalidArgument, "'{}' is of the assistant, but models here do not go on with a text that was begun for them", indexed("messages", messages->size() - 1))
                    .with_param("messages")
                    .with_hint("end with a message of the user"));
  }
  return out;
}

Result<ToolDefinition> parse_tool(const Fields& tool) {
  STOA_TRY(type, tool.text_or("type", "custom"));
  if (type != "custom") return tool.unsupported("type", fmt::format("tools of type '{}' are not served, only those with an 'input_schema'", type));
  ToolDefinition out;
  STOA_TRY(name, tool.required_text("name"));
  out.name = std::move(name);
  STOA_TRY(description, tool.text_or("description", ""));
  out.description = std::move(description);
  STOA_TRY(schema, tool.object("input_schema"));
  if (schema == nullptr) return tool.wrong("input_schema", "a JSON schema; it is required");
  out.parameters = dump_json(*schema);
  STOA_TRY(strict, tool.flag_or("strict", false));
  out.strict = strict;
  return out;
}

Status parse_tool_choice(const Fields& body, ChatRequest& request) {
  using Mode = ToolChoice::Mode;
  STOA_TRY(object, body.object("tool_choice"));
  if (object == nullptr) return {};
  const Fields choice(*object, "tool_choice");
  STOA_TRY(type, choice.required_text("type"));
  if (type == "auto") request.tool_choice.mode = Mode::kAuto;
  else if (type == "any") request.tool_choice.mode = Mode::kRequired;
  else if (type == "tool") request.tool_choice.mode = Mode::kNamed;
  else if (type == "none") request.tool_choice.mode = Mode::kNone;
  else return choice.wrong("type", "one of auto, any, tool, none");
  STOA_TRY(single, choice.flag_or("disable_parallel_tool_use", false));
  request.parallel_tool_calls = !single;
  const Mode mode = request.tool_choice.mode;
  if (request.tools.empty() && (mode == Mode::kRequired || mode == Mode::kNamed)) return choice.wrong("type", "'auto' or 'none' when no tool is given");
  if (mode != Mode::kNamed) return {};
  STOA_TRY(name, choice.required_text("name"));
  if (std::ranges::find(request.tools, name, &ToolDefinition::name) == request.tools.end())
    return choice.wrong("name", fmt::format("the name of one of the tools; '{}' is none", name));
  request.tool_choice.name = std::move(name);
  return {};
}

Status parse_tools(const Fields& body, ChatRequest& request) {
  STOA_TRY(tools, body.array("tools", kMaxTools));
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = indexed("tools", i);
    STOA_TRY(object, object_in(*tools, i, path));
    STOA_TRY(tool, parse_tool(Fields(*object, path)));
    request.tools.push_back(std::move(tool));
  }
  return parse_tool_choice(body, request);
}

// Whether the answer shows what the model thought. How much it thinks is the model's own, but for the effort.
Result<bool> parse_thinking(const Fields& body) {
  STOA_TRY(object, body.object("thinking"));
  if (object == nullptr) return false;
  const Fields thinking(*object, "thinking");
  STOA_TRY(type, thinking.required_text("type"));
  if (type == "disabled") return false;
  if (type != "enabled" && type != "adaptive" && type != "between_tools") return thinking.wrong("type", "one of enabled, adaptive, between_tools, disabled");
  STOA_CHECK(thinking.integer("budget_tokens", 1, kMaxTokens));
  STOA_TRY(display, thinking.text_or("display", "summarized"));
  if (display != "summarized" && display != "omitted") return thinking.wrong("display", "'summarized' or 'omitted'");
  return display == "summarized";
}

// `output_config.format`, or `output_format` as it was called before.
Result<std::optional<AnswerConstraint>> parse_format(const Fields& body) {
  STOA_TRY(config, body.object("output_config"));
  STOA_TRY(format, config == nullptr ? Result<const JsonObject*>(nullptr) : Fields(*config, "output_config").object("format"));
  STOA_TRY(older, body.object("output_format"));
  if (format != nullptr && older != nullptr) return body.wrong("output_format", "left out beside 'output_config.format'");
  if (format == nullptr && older == nullptr) return std::nullopt;
  const Fields fields(format != nullptr ? *format : *older, format != nullptr ? "output_config.format" : "output_format");
  STOA_TRY(type, fields.required_text("type"));
  if (type != "json_schema") return fields.unsupported("type", "only 'json_schema' is served");
  STOA_TRY(schema, fields.object("schema"));
  if (schema == nullptr) return fields.wrong("schema", "a JSON schema; it is required");
  return AnswerConstraint{AnswerConstraint::Kind::kJsonSchema, dump_json(*schema), fields.path("schema")};
}

// `output_config.effort`, as ChatRequest::reasoning_effort.
Result<std::string> parse_effort(const Fields& body) {
  STOA_TRY(config, body.object("output_config"));
  if (config == nullptr) return std::string();
  const Fields fields(*config, "output_config");
  STOA_TRY(effort, fields.text_or("effort", ""));
  if (effort == "xhigh" || effort == "max") return "high";
  if (!effort.empty() && effort != "low" && effort != "medium" && effort != "high") return fields.wrong("effort", "one of low, medium, high, xhigh, max");
  return std::move(effort);
}

// As ChatRequest::priority. "flex" and "priority" are this server's, as in its other dialects.
Result<int> parse_tier(const Fields& body) {
  STOA_TRY(tier, body.text_or("service_tier", "auto"));
  if (tier == "auto" || tier == "standard_only") return 0;
  if (tier == "priority") return 1;
  if (tier == "flex") return -1;
  return body.wrong("service_tier", "'auto', 'standard_only', 'flex' or 'priority'");
}

Status parse_sampling(const Fields& body, ChatRequest& request) {
  STOA_TRY(temperature, body.number_or("temperature", 0, 1, request.sampling.temperature));
  STOA_TRY(top_p, body.number_or("top_p", 0, 1, request.sampling.top_p));
  STOA_TRY(top_k, body.integer_or("top_k", 0, 1 << 20, request.sampling.top_k));
  request.sampling.temperature = temperature;
  request.sampling.top_p = top_p;
  request.sampling.top_k = static_cast<int>(top_k);
  STOA_TRY(stops, body.array("stop_sequences", kMaxStops));
  for (std::size_t i = 0; stops != nullptr && i < stops->size(); ++i) {
    const Json& stop = (*stops)[i];
    if (!stop.is_string() || stop.get_string().empty()) return body.wrong("stop_sequences", "a list of strings, none of them empty");
    request.stop.emplace_back(stop.get_string());
  }
  return {};
}

}  // namespace

Result<MessagePrompt> parse_prompt(const JsonObject& object) {
  const Fields body(object);
  for (const Refusal& refusal : kRefused) {
    const Json* value = body.get(refusal.key);
    const bool empty_list = value != nullptr && value->is_array() && value->get_array().empty();
    if (value != nullptr && !empty_list) return body.unsupported(refusal.key, refusal.next_step);
  }
  MessagePrompt out;
  ChatRequest& request = out.request;
  STOA_TRY(model, body.required_text("model"));
  request.model = std::move(model);
  if (body.has("system")) {
    STOA_TRY(system, texts_of(body, "system", "\n\n"));
    if (!system.empty()) request.messages.push_back({"system", std::move(system)});
  }
  STOA_TRY(messages, parse_messages(body, out.documents));
  for (MessageDocument& document : out.documents) document.message += request.messages.size();
  std::ranges::move(messages, std::back_inserter(request.messages));
  STOA_CHECK(parse_tools(body, request));
  STOA_TRY(format, parse_format(body));
  request.constraint = std::move(format);
  STOA_TRY(effort, parse_effort(body));
  request.reasoning_effort = std::move(effort);
  if (out.cites() && request.constraint) return body.unsupported("output_config.format", "answers that cite documents are text");
  if (out.cites() && !request.tools.empty() && request.tool_choice.mode != ToolChoice::Mode::kNone)
    return body.unsupported("tools", "an answer that cites documents calls none; leave them out, or set tool_choice to none");
  return out;
}

Result<MessageCall> parse_message_call(const JsonObject& object) {
  const Fields body(object);
  MessageCall call;
  STOA_TRY(prompt, parse_prompt(object));
  static_cast<MessagePrompt&>(call) = std::move(prompt);
  call.own_temperature = body.has("temperature");
  STOA_TRY(max_tokens, body.integer("max_tokens", 1, kMaxTokens));
  if (!max_tokens) return body.wrong("max_tokens", fmt::format("an integer from 1 to {}; it is required", kMaxTokens));
  call.request.max_tokens = static_cast<int>(*max_tokens);
  STOA_CHECK(parse_sampling(body, call.request));
  STOA_TRY(thinking, parse_thinking(body));
  call.thinking = thinking;
  STOA_TRY(priority, parse_tier(body));
  call.request.priority = priority;
  STOA_TRY(stream, body.flag_or("stream", false));
  call.stream = stream;
  STOA_TRY(metadata, body.object("metadata"));
  if (metadata != nullptr) STOA_CHECK(Fields(*metadata, "metadata").text("user_id"));
  return call;
}

}  // namespace stoa::gateway::anthropic
