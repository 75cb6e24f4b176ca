#include "gateway/api/bedrock/converse_json.h"

#include <algorithm>
#include <set>

#include "gateway/api/images.h"

namespace stoa::gateway::bedrock {
namespace {

constexpr std::size_t kMaxMessages = 2048, kMaxBlocks = 256, kMaxTools = 128, kMaxStops = 16;
constexpr std::int64_t kMaxTokens = 1 << 20;
constexpr std::string_view kFailedTool = "Error: ";  // models know of no other way to tell that a tool failed

struct Refusal {
  std::string_view key, next_step;
};

// Known fields of the protocol that would change the answer, or where it is made, if they were silently ignored.
constexpr Refusal kRefused[] = {
    {"guardrailConfig", "this server's own policies decide what may be asked and answered"},
    {"promptVariables", "send the prompt as it is to be read"},
};

// A list at `key`, each item an object with exactly one member, whose name says what it is; `each(name, value, path of the value)`.
template <class Each>
Status each_block(const Fields& fields, std::string_view key, std::size_t most, const Each& each) {
  STOA_TRY(blocks, fields.array(key, most));
  for (std::size_t i = 0; blocks != nullptr && i < blocks->size(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path(key), i);
    const JsonObject* object = (*blocks)[i].if_object();
    if (object == nullptr || object->size() != 1) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object with one member", path).with_param(path));
    const auto& member = *object->begin();
    STOA_CHECK(each(std::string_view(member.key()), member.value(), fmt::format("{}.{}", path, std::string_view(member.key()))));
  }
  return {};
}

std::unexpected<Error> wrong(const std::string& path, std::string_view expected) { return fail(error(ErrorCode::kInvalidArgument, "'{}' must be {}", path, expected).with_param(path)); }
std::unexpected<Error> unserved(const std::string& path, std::string_view served) {
  return fail(error(ErrorCode::kInvalidArgument, "'{}' is not served here, only {}", path, served).with_param(path));
}

Result<std::string> text_of(const Json& value, const std::string& path) {
  if (!value.is_string()) return wrong(path, "a string");
  return std::string(value.get_string());
}

Result<const JsonObject*> object_of(const Json& value, const std::string& path) {
  if (!value.is_object()) return wrong(path, "an object");
  return &value.get_object();
}

Result<ChatImage> read_image(const Json& value, const std::string& path) {
  STOA_TRY(object, object_of(value, path));
  const Fields image(*object, path);
  STOA_TRY(format, image.required_text("format"));
  STOA_TRY(source, image.object("source"));
  if (source == nullptr) return image.wrong("source", "an object; it is required");
  const Fields from(*source, image.path("source"));
  if (!from.has("bytes")) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be the image itself: this server fetches nothing", from.path("bytes")).with_param(from.path("bytes")));
  STOA_TRY(bytes, from.required_text("bytes"));
  return image_of_data("image/" + format, bytes, path);
}

// Reads `messages`. Ids of calls are kept, since results have to answer one that was made before.
class ConverseMessages {
 public:
  Status add(const Fields& message) {
    STOA_TRY(role, message.required_text("role"));
    if (role != "user" && role != "assistant" && role != "system") return message.wrong("role", "one of user, assistant, system");
    if (!message.has("content")) return message.wrong("content", "a list of blocks; it is required");
    return role == "user" ? user(message) : role == "assistant" ? assistant(message) : system(message, "content");
  }

  Status system(const Fields& fields, std::string_view key) {
    std::string text;
    STOA_CHECK(each_block(fields, key, kMaxBlocks, [&](std::string_view kind, const Json& value, const std::string& path) -> Status {
      if (kind == "cachePoint") return {};  // what prompts have in common is found by itself
      if (kind != "text") return unserved(path, "text");
      STOA_TRY(piece, text_of(value, path));
      text += (text.empty() ? "" : "\n\n") + piece;
      return {};
    }));
    if (!text.empty()) messages_.push_back({"system", std::move(text)});
    return {};
  }

  std::vector<ChatMessage> take() && { return std::move(messages_); }

 private:
  Status user(const Fields& message) {
    const std::size_t before = messages_.size();
    bool open = false;  // the last message is the user's, of this turn
    const auto own = [&]() -> ChatMessage& {
      if (!std::exchange(open, true)) messages_.push_back({"user", {}});
      return messages_.back();
    };
    STOA_CHECK(each_block(message, "content", kMaxBlocks, [&](std::string_view kind, const Json& value, const std::string& path) -> Status {
      if (kind == "cachePoint") return {};
      if (kind == "toolResult") {
        open = false;
        return tool_result(value, path);
      }
      return content(kind, value, path, "text, image, toolResult and cachePoint", own);
    }));
    if (messages_.size() == before) messages_.push_back({"user", {}});
    return {};
  }

  template <class Own>
  static Status content(std::string_view kind, const Json& value, const std::string& path, std::string_view served, const Own& own) {
    if (kind == "text") {
      STOA_TRY(text, text_of(value, path));
      own().content += text;
      return {};
    }
    if (kind != "image") return unserved(path, served);
    STOA_TRY(image, read_image(value, path));
    ChatMessage& message = own();
    image.at = message.content.size();
    message.images.push_back(std::move(image));
    return {};
  }

  Status tool_result(const Json& value, const std::string& place) {
    STOA_TRY(object, object_of(value, place));
    const Fields block(*object, place);
    STOA_TRY(id, block.required_text("toolUseId"));
    if (!called_.contains(id)) return block.wrong("toolUseId", "the id of a toolUse block of a message before this one");
    ChatMessage result{"tool", {}};
    STOA_TRY(status, block.text_or("status", "success"));
    if (status != "success" && status != "error") return block.wrong("status", "'success' or 'error'");
    if (status == "error") result.content = kFailedTool;
    STOA_CHECK(each_block(block, "content", kMaxBlocks, [&](std::string_view kind, const Json& piece, const std::string& path) -> Status {
      if (kind != "json") return content(kind, piece, path, "text, json and image", [&]() -> ChatMessage& { return result; });
      result.content += dump_json(piece);
      return {};
    }));
    result.tool_call_id = std::move(id);
    messages_.push_back(std::move(result));
    return {};
  }

  Status assistant(const Fields& message) {
    ChatMessage out{"assistant", {}};
    STOA_CHECK(each_block(message, "content", kMaxBlocks, [&](std::string_view kind, const Json& value, const std::string& path) -> Status {
      if (kind == "cachePoint") return {};
      if (kind == "toolUse") return tool_use(value, path, out);
      if (kind == "reasoningContent") return reasoning(value, path, out);
      if (kind != "text") return unserved(path, "text, toolUse, reasoningContent and cachePoint");
      STOA_TRY(text, text_of(value, path));
      out.content += text;
      return {};
    }));
    messages_.push_back(std::move(out));
    return {};
  }

  static Status reasoning(const Json& value, const std::string& path, ChatMessage& out) {
    STOA_TRY(object, object_of(value, path));
    STOA_TRY(thought, Fields(*object, path).object("reasoningText"));
    if (thought == nullptr) return {};  // redacted: it says nothing to other models than the one that wrote it
    STOA_TRY(text, Fields(*thought, path + ".reasoningText").text_or("text", ""));
    out.reasoning += text;
    return {};
  }

  Status tool_use(const Json& value, const std::string& path, ChatMessage& out) {
    STOA_TRY(object, object_of(value, path));
    const Fields block(*object, path);
    STOA_TRY(id, block.required_text("toolUseId"));
    STOA_TRY(name, block.required_text("name"));
    STOA_TRY(input, block.object("input"));
    if (input == nullptr) return block.wrong("input", "an object; it is required");
    called_.insert(id);
    out.tool_calls.push_back({std::move(id), std::move(name), dump_json(*input)});
    return {};
  }

  std::vector<ChatMessage> messages_;
  std::set<std::string> called_;
};

Result<std::vector<ChatMessage>> read_messages(const Fields& body) {
  ConverseMessages conversation;
  STOA_CHECK(conversation.system(body, "system"));
  STOA_TRY(messages, body.array("messages", kMaxMessages));
  if (messages == nullptr || messages->empty()) return body.wrong("messages", "a non-empty list; it is required");
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    STOA_TRY(object, object_of((*messages)[i], path));
    STOA_CHECK(conversation.add(Fields(*object, path)));
  }
  std::vector<ChatMessage> out = std::move(conversation).take();
  if (out.back().role == "assistant")
    return fail(error(ErrorCode::kInvalidArgument, "'messages[{}]' is of the assistant, but models here do not go on with a text that was begun for them", messages->size() - 1)
                    .with_param("messages")
                    .with_hint("end with a message of the user"));
  return out;
}

Result<ToolDefinition> read_tool(const Fields& tool) {
  ToolDefinition out;
  STOA_TRY(name, tool.required_text("name"));
  out.name = std::move(name);
  STOA_TRY(description, tool.text_or("description", ""));
  out.description = std::move(description);
  STOA_TRY(schema, tool.object("inputSchema"));
  if (schema == nullptr) return tool.wrong("inputSchema", "an object; it is required");
  STOA_TRY(json, Fields(*schema, tool.path("inputSchema")).object("json"));
  if (json == nullptr) return tool.wrong("inputSchema.json", "a JSON schema; it is required");
  out.parameters = dump_json(*json);
  STOA_TRY(strict, tool.flag_or("strict", false));
  out.strict = strict;
  return out;
}

Status read_tool_choice(const Fields& config, ChatRequest& request) {
  using Mode = ToolChoice::Mode;
  STOA_TRY(choice, config.object("toolChoice"));
  if (choice == nullptr) return {};
  const std::string place = config.path("toolChoice");
  const std::string_view kind = choice->size() == 1 ? std::string_view(choice->begin()->key()) : std::string_view();
  if (kind == "auto") return {};
  if (kind != "any" && kind != "tool") return wrong(place, "an object with one of auto, any, tool");
  if (request.tools.empty()) return wrong(place, "left out when no tool is given");
  request.tool_choice.mode = kind == "any" ? Mode::kRequired : Mode::kNamed;
  if (kind == "any") return {};
  STOA_TRY(object, object_of(choice->begin()->value(), place + ".tool"));
  const Fields tool(*object, place + ".tool");
  STOA_TRY(name, tool.required_text("name"));
  if (std::ranges::find(request.tools, name, &ToolDefinition::name) == request.tools.end()) return tool.wrong("name", fmt::format("the name of one of the tools; '{}' is none", name));
  request.tool_choice.name = std::move(name);
  return {};
}

Status read_tools(const Fields& body, ChatRequest& request) {
  STOA_TRY(object, body.object("toolConfig"));
  if (object == nullptr) return {};
  const Fields config(*object, "toolConfig");
  STOA_CHECK(each_block(config, "tools", kMaxTools, [&](std::string_view kind, const Json& value, const std::string& path) -> Status {
    if (kind == "cachePoint") return {};
    if (kind != "toolSpec") return unserved(path, "toolSpec and cachePoint");
    STOA_TRY(spec, object_of(value, path));
    STOA_TRY(tool, read_tool(Fields(*spec, path)));
    request.tools.push_back(std::move(tool));
    return {};
  }));
  return read_tool_choice(config, request);
}

Status read_inference(const Fields& body, ChatRequest& request) {
  STOA_TRY(object, body.object("inferenceConfig"));
  if (object == nullptr) return {};
  const Fields config(*object, "inferenceConfig");
  STOA_TRY(max_tokens, config.integer_or("maxTokens", 1, kMaxTokens, 0));
  STOA_TRY(temperature, config.number_or("temperature", 0, 1, request.sampling.temperature));
  STOA_TRY(top_p, config.number_or("topP", 0, 1, request.sampling.top_p));
  request.max_tokens = static_cast<int>(max_tokens);
  request.sampling.temperature = temperature;
  request.sampling.top_p = top_p;
  STOA_TRY(stops, config.texts("stopSequences", kMaxStops));
  if (std::ranges::find(stops, std::string()) != stops.end()) return config.wrong("stopSequences", "a list of strings, none of them empty");
  request.stop = std::move(stops);
  return {};
}

// What models take beyond what all of them take: of Anthropic's, how many tokens are looked at; that they think is their own affair.
Status read_additional(const Fields& body, ConverseCall& call) {
  STOA_TRY(object, body.object("additionalModelRequestFields"));
  if (object != nullptr) {
    const Fields more(*object, "additionalModelRequestFields");
    for (const auto& member : *object)
      if (member.key() != "top_k" && member.key() != "thinking") return more.unsupported(member.key(), "only 'top_k' and 'thinking' are");
    STOA_TRY(top_k, more.integer_or("top_k", 0, 1 << 20, 0));
    call.request.sampling.top_k = static_cast<int>(top_k);
    STOA_CHECK(more.object("thinking"));
  }
  STOA_TRY(paths, body.texts("additionalModelResponseFieldPaths", kMaxStops));
  call.tells_stop = std::ranges::find(paths, "/stop_sequence") != paths.end();
  return {};
}

Status read_output(const Fields& body, ChatRequest& request) {
  STOA_TRY(object, body.object("outputConfig"));
  if (object == nullptr) return {};
  const Fields config(*object, "outputConfig");
  STOA_TRY(effort, config.text_or("effort", ""));
  constexpr std::string_view kEfforts[] = {"", "none", "minimal", "low", "medium", "high", "max"};
  if (std::ranges::find(kEfforts, effort) == std::end(kEfforts)) return config.wrong("effort", "one of none, minimal, low, medium, high, max");
  request.reasoning_effort = effort == "max" ? "high" : effort;
  STOA_TRY(format, config.object("textFormat"));
  if (format == nullptr) return {};
  const Fields text(*format, "outputConfig.textFormat");
  STOA_TRY(type, text.required_text("type"));
  if (type != "json_schema") return text.unsupported("type", "only 'json_schema' is served");
  STOA_TRY(structure, text.object("structure"));
  STOA_TRY(named, structure == nullptr ? Result<const JsonObject*>(nullptr) : Fields(*structure, text.path("structure")).object("jsonSchema"));
  if (named == nullptr) return text.wrong("structure.jsonSchema", "an object; it is required");
  const Fields schema(*named, text.path("structure.jsonSchema"));
  STOA_TRY(written, schema.required_text("schema"));
  if (!parse_json(written)) return schema.wrong("schema", "a JSON schema, as a string");
  request.constraint = AnswerConstraint{AnswerConstraint::Kind::kJsonSchema, std::move(written), schema.path("schema")};
  return {};
}

// As ChatRequest::priority.
Status read_tier(const Fields& body, ChatRequest& request) {
  STOA_TRY(object, body.object("serviceTier"));
  if (object == nullptr) return {};
  const Fields tier(*object, "serviceTier");
  STOA_TRY(type, tier.required_text("type"));
  if (type != "default" && type != "flex" && type != "priority") return tier.wrong("type", "one of default, flex, priority");
  request.priority = type == "priority" ? 1 : type == "flex" ? -1 : 0;
  return {};
}

}  // namespace

Result<ConverseCall> parse_converse(const JsonObject& object) {
  const Fields body(object);
  for (const Refusal& refusal : kRefused)
    if (body.has(refusal.key)) return body.unsupported(refusal.key, refusal.next_step);
  ConverseCall call;
  STOA_TRY(messages, read_messages(body));
  call.request.messages = std::move(messages);
  STOA_CHECK(read_tools(body, call.request));
  STOA_CHECK(read_inference(body, call.request));
  STOA_CHECK(read_additional(body, call));
  STOA_CHECK(read_output(body, call.request));
  STOA_CHECK(read_tier(body, call.request));
  STOA_CHECK(body.metadata("requestMetadata"));
  return call;
}

Result<ChatRequest> parse_count(const JsonObject& object) {
  STOA_TRY(input, Fields(object).object("input"));
  if (input == nullptr) return Fields(object).wrong("input", "an object; it is required");
  const Fields fields(*input, "input");
  STOA_TRY(converse, fields.object("converse"));
  if (converse == nullptr) return fields.wrong("converse", "an object: requests of other shapes are not counted");
  STOA_TRY(call, parse_converse(*converse));
  return std::move(call.request);
}

}  // namespace stoa::gateway::bedrock
