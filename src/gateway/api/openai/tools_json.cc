#include "gateway/api/openai/tools_json.h"

#include <algorithm>
#include <set>

#include "gateway/api/openai/chat_json.h"

namespace stoa::gateway::openai {
namespace {

constexpr std::size_t kMaxMessages = 2048, kMaxCalls = 128;

Result<const JsonObject*> object_in(const JsonArray& list, std::size_t i, const std::string& path) {
  const JsonObject* object = list[i].if_object();
  if (object == nullptr) return fail(error(ErrorCode::kInvalidArgument, "'{}' must be an object", path).with_param(path));
  return object;
}

std::string indexed(const std::string& list, std::size_t i) { return fmt::format("{}[{}]", list, i); }

Result<std::vector<ToolCall>> parse_calls(const Fields& message) {
  std::vector<ToolCall> out;
  STOA_TRY(calls, message.array("tool_calls", kMaxCalls));
  for (std::size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
    const std::string path = indexed(message.path("tool_calls"), i);
    STOA_TRY(object, object_in(*calls, i, path));
    const Fields call(*object, path);
    STOA_TRY(type, call.text_or("type", "function"));
    if (type != "function") return call.unsupported("type", "only calls of functions are served");
    STOA_TRY(id, call.required_text("id"));
    STOA_TRY(function, call.object("function"));
    if (function == nullptr) return call.wrong("function", "an object with 'name' and 'arguments'; it is required");
    const Fields fields(*function, call.path("function"));
    STOA_TRY(name, fields.required_text("name"));
    STOA_TRY(arguments, fields.text_or("arguments", ""));
    if (arguments.empty()) arguments = "{}";
    if (const auto json = parse_json(arguments); !json || !json->is_object()) return fields.wrong("arguments", "a JSON object, written as a string");
    out.push_back({std::move(id), std::move(name), std::move(arguments)});
  }
  return out;
}

Result<ChatMessage> parse_message(const JsonObject& object, const std::string& path, std::set<std::string>& called) {
  const Fields fields(object, path);
  STOA_TRY(role, fields.required_text("role"));
  if (role == "developer") role = "system";  // the newer name of the same role
  if (role == "function") return fields.unsupported("role", "use the role 'tool' with a 'tool_call_id'");
  if (role != "system" && role != "user" && role != "assistant" && role != "tool")
    return fields.wrong("role", "one of system, developer, user, assistant, tool");
  if (fields.has("function_call")) return fields.unsupported("function_call", "use 'tool_calls'");
  ChatMessage out{std::move(role), {}};
  if (out.role == "assistant") {
    STOA_TRY(calls, parse_calls(fields));
    for (const ToolCall& call : calls) called.insert(call.id);
    out.tool_calls = std::move(calls);
    STOA_TRY(reasoning, fields.text_or("reasoning_content", ""));
    out.reasoning = std::move(reasoning);
  } else if (fields.has("tool_calls")) {
    return fields.wrong("tool_calls", "left out unless the role is 'assistant'");
  }
  if (out.role == "tool") {
    STOA_TRY(id, fields.required_text("tool_call_id"));
    if (!called.contains(id)) return fields.wrong("tool_call_id", "the id of a call in 'tool_calls' of a message before this one");
    out.tool_call_id = std::move(id);
  }
  if (!out.tool_calls.empty() && !fields.has("content")) return out;
  STOA_CHECK(parse_content(fields, "content", {"text"}, out.role == "user" ? "image_url" : "", out));
  return out;
}

}  // namespace

Result<ToolDefinition> parse_function(const Fields& function, bool strict) {
  ToolDefinition out;
  STOA_TRY(name, function.required_text("name"));
  out.name = std::move(name);
  STOA_TRY(description, function.text_or("description", ""));
  out.description = std::move(description);
  STOA_TRY(parameters, function.object("parameters"));
  if (parameters != nullptr) out.parameters = dump_json(*parameters);
  STOA_TRY(is_strict, function.flag_or("strict", strict));
  out.strict = is_strict;
  return out;
}

Status parse_chat_tools(const Fields& body, ChatRequest& request) {
  STOA_TRY(tools, body.array("tools", kMaxFunctions));
  for (std::size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = indexed("tools", i);
    STOA_TRY(object, object_in(*tools, i, path));
    const Fields tool(*object, path);
    STOA_TRY(type, tool.required_text("type"));
    if (type != "function") return tool.unsupported("type", fmt::format("tools of type '{}' are not served, only functions", type));
    STOA_TRY(function, tool.object("function"));
    if (function == nullptr) return tool.wrong("function", "an object with 'name'; it is required");
    STOA_TRY(definition, parse_function(Fields(*function, tool.path("function")), false));
    request.tools.push_back(std::move(definition));
  }
  STOA_TRY(parallel, body.flag_or("parallel_tool_calls", true));
  request.parallel_tool_calls = parallel;
  const Json* choice = body.get("tool_choice");
  if (choice == nullptr) return {};
  if (choice->is_string()) return set_tool_choice(body, choice->get_string(), "", request);
  STOA_TRY(object, body.object("tool_choice"));
  const Fields fields(*object, "tool_choice");
  STOA_TRY(type, fields.required_text("type"));
  if (type != "function") return fields.unsupported("type", "only 'function' is served");
  STOA_TRY(function, fields.object("function"));
  if (function == nullptr) return fields.wrong("function", "an object with 'name'; it is required");
  STOA_TRY(name, Fields(*function, "tool_choice.function").required_text("name"));
  return set_tool_choice(body, "function", name, request);
}

Status set_tool_choice(const Fields& body, std::string_view mode, const std::string& named, ChatRequest& request) {
  using Mode = ToolChoice::Mode;
  if (mode == "none") request.tool_choice = {Mode::kNone, {}};
  else if (mode == "auto") request.tool_choice = {Mode::kAuto, {}};
  else if (mode == "required") request.tool_choice = {Mode::kRequired, {}};
  else if (mode == "function") request.tool_choice = {Mode::kNamed, named};
  else return body.wrong("tool_choice", "'none', 'auto', 'required' or an object that names a function");
  const Mode chosen = request.tool_choice.mode;
  if (request.tools.empty() && (chosen == Mode::kRequired || chosen == Mode::kNamed)) return body.wrong("tool_choice", "'auto' or 'none' when no tool is given");
  if (chosen == Mode::kNamed && std::ranges::find(request.tools, named, &ToolDefinition::name) == request.tools.end())
    return body.wrong("tool_choice", fmt::format("the name of one of the tools; '{}' is none", named));
  return {};
}

std::string_view tool_choice_name(const ToolChoice& choice) {
  switch (choice.mode) {
    case ToolChoice::Mode::kAuto: return "auto";
    case ToolChoice::Mode::kRequired: return "required";
    case ToolChoice::Mode::kNamed: return "function";
    case ToolChoice::Mode::kNone: return "none";
  }
  return "auto";
}

Result<std::vector<ChatMessage>> parse_messages(const Fields& body) {
  STOA_TRY(messages, body.array("messages", kMaxMessages));
  if (messages == nullptr || messages->empty()) return body.wrong("messages", "a non-empty list; it is required");
  std::vector<ChatMessage> out;
  std::set<std::string> called;
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const std::string path = indexed("messages", i);
    STOA_TRY(object, object_in(*messages, i, path));
    STOA_TRY(message, parse_message(*object, path, called));
    out.push_back(std::move(message));
  }
  return out;
}

JsonObject tool_call_json(const ToolCall& call) {
  JsonObject function, out;
  function["name"] = call.name;
  function["arguments"] = call.arguments;
  out["id"] = call.id;
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

JsonObject tool_call_delta_json(const ToolCallDelta& delta) {
  JsonObject function, out;
  out["index"] = delta.index;
  if (!delta.id.empty()) {
    out["id"] = delta.id;
    out["type"] = "function";
    function["name"] = delta.name;
  }
  function["arguments"] = delta.arguments;
  out["function"] = std::move(function);
  return out;
}

}  // namespace stoa::gateway::openai
