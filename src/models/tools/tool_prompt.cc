#include "models/tools/tool_prompt.h"

#include "base/json.h"

namespace stoa::models {
namespace {

constexpr std::string_view kPlace = "{tools}";

Result<JsonObject> function_of(const ToolDefinition& tool) {
  JsonObject function;
  function["name"] = tool.name;
  if (!tool.description.empty()) function["description"] = tool.description;
  auto parameters = parse_json(tool.parameters.empty() ? R"({"type":"object"})" : tool.parameters);
  if (!parameters || !parameters->is_object()) return fail(error(ErrorCode::kInvalidArgument, "the parameters of tool '{}' are no JSON object", tool.name).with_param("tools"));
  function["parameters"] = std::move(*parameters);
  return function;
}

Result<JsonObject> definition(const ToolDefinition& tool) {
  STOA_TRY(function, function_of(tool));
  JsonObject out;
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

Result<std::string> definitions(std::span<const ToolDefinition> tools, ToolFormat format) {
  std::string lines;
  JsonArray list;
  for (const ToolDefinition& tool : tools) {
    STOA_TRY(entry, format == ToolFormat::kTagged ? function_of(tool) : definition(tool));
    if (format == ToolFormat::kTagged) list.emplace_back(std::move(entry));
    else lines += dump_json(entry) + "\n";
  }
  return format == ToolFormat::kTagged ? dump_json(list) : lines;
}

std::string calls_text(const ChatMessage& message, ToolFormat format) {
  std::string out = message.content;
  if (format == ToolFormat::kTagged) {
    if (message.tool_calls.empty()) return out;
    std::string list;
    for (const ToolCall& call : message.tool_calls)
      list += fmt::format(R"({}{{"name": {}, "arguments": {}}})", list.empty() ? "" : ", ", dump_json(Json(call.name)), call.arguments.empty() ? "{}" : call.arguments);
    return out + "<|tool_call|>[" + list + "]<|/tool_call|>";
  }
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

Result<std::vector<ChatMessage>> write_out_tools(std::span<const ChatMessage> messages, std::span<const ToolDefinition> tools, const ToolWriting& writing) {
  std::vector<ChatMessage> out;
  if (!tools.empty()) {
    STOA_TRY(list, definitions(tools, writing.format));
    std::string text = writing.pattern;
    if (const auto at = text.find(kPlace); at != std::string::npos) text.replace(at, kPlace.size(), list);
    const bool has_system = !messages.empty() && messages.front().role == "system";
    out.push_back({"system", has_system ? messages.front().content + (writing.format == ToolFormat::kHermes ? "\n\n" : "") + text : text});
    if (has_system) messages = messages.subspan(1);
  }
  bool after_tool = false;
  for (const ChatMessage& message : messages) {
    const bool tool = message.role == "tool" && writing.format == ToolFormat::kHermes;
    const std::string text = tool ? "<tool_response>\n" + message.content + "\n</tool_response>" : calls_text(message, writing.format);
    if (tool && after_tool) out.back().content += "\n" + text;
    else out.push_back({tool ? "user" : message.role, text});
    after_tool = tool;
  }
  return out;
}

}  // namespace stoa::models
