#include "models/tools/tool_prompt.h"

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr std::string_view kPlace = "{tools}";

Result<JsonObject> definition(const ToolDefinition& tool) {
  JsonObject function, out;
  function["name"] = tool.name;
  if (!tool.description.empty()) function["description"] = tool.description;
  auto parameters = parse_json(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters);
  if (!parameters || !parameters->is_object()) return fail(error(ErrorCode::kInvalidArgument, "the parameters of tool '{}' are no JSON object", tool.name).with_param("tools"));
  function["parameters"] = std::move(*parameters);
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

std::string calls_text(const ChatMessage& message) {
  std::string out = message.content;
  for (const ToolCall& call : message.tool_calls) {
    if (!out.empty()) out += '\n';
    out += "<tool_call>\n{\"name\": " + dump_json(Json(call.name)) + ", \"arguments\": " + (call.arguments.empty() ? "{}" : call.arguments) + "}\n</tool_call>";
  }
  return out;
}

}  // namespace

Result<std::string> tools_json(std::span<const ToolDefinition> tools) {
  JsonArray out;
  for (const ToolDefinition& tool : tools) {
    STOA_TRY(entry, definition(tool));
    out.emplace_back(std::move(entry));
  }
  return dump_json(out);
}

Result<std::vector<ChatMessage>> write_out_tools(std::span<const ChatMessage> messages, std::span<const ToolDefinition> tools, std::string_view pattern) {
  std::vector<ChatMessage> out;
  if (!tools.empty()) {
    std::string list;
    for (const ToolDefinition& tool : tools) {
      STOA_TRY(entry, definition(tool));
      list += dump_json(entry) + "\n";
    }
    std::string text(pattern);
    if (const auto at = text.find(kPlace); at != std::string::npos) text.replace(at, kPlace.size(), list);
    const bool has_system = !messages.empty() && messages.front().role == "system";
    out.push_back({"system", has_system ? messages.front().content + "\n\n" + text : text});
    if (has_system) messages = messages.subspan(1);
  }
  bool after_tool = false;
  for (const ChatMessage& message : messages) {
    const bool tool = message.role == "tool";
    const std::string text = tool ? "<tool_response>\n" + message.content + "\n</tool_response>" : calls_text(message);
    if (tool && after_tool) out.back().content += "\n" + text;
    else out.push_back({tool ? "user" : message.role, text});
    after_tool = tool;
  }
  return out;
}

}  // namespace stoa::models
