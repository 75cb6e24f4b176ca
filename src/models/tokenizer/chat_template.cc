#include "models/tokenizer/chat_template.h"

#include "base/json.h"
#include "models/tokenizer/jinja_interpreter.h"
#include "models/tokenizer/jinja_parser.h"

namespace stoa::models {

// The source beside its tree.
class JinjaTemplate {
 public:
  std::string source;
  TemplateLimits limits;
  jinja::Body body;
};

ChatTemplate::ChatTemplate(std::unique_ptr<const JinjaTemplate> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;
const std::string& ChatTemplate::source() const { return program_->source; }

Result<ChatTemplate> ChatTemplate::parse(std::string source, const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) return fail(ErrorCode::kTooLarge, "a chat template of {} bytes exceeds the limit of {}", source.size(), limits.max_source_bytes);
  auto program = std::make_unique<JinjaTemplate>();
  STOA_TRY(tokens, jinja::tokenize(source));
  STOA_TRY(body, jinja::parse(std::move(tokens), limits.max_depth));
  program->source = std::move(source);
  program->limits = limits;
  program->body = std::move(body);
  return ChatTemplate(std::move(program));
}

namespace {

// Calls as Hugging Face hands them to templates: arguments are a mapping, not its JSON.
jinja::Value tool_call_value(const ToolCall& call) {
  jinja::Map function, out;
  function.items.emplace_back("name", jinja::Value(call.name));
  auto arguments = parse_json(call.arguments);
  function.items.emplace_back("arguments", arguments ? jinja::from_json(*arguments) : jinja::Value(call.arguments));
  out.items.emplace_back("id", jinja::Value(call.id));
  out.items.emplace_back("type", jinja::Value(std::string("function")));
  out.items.emplace_back("function", jinja::Value(std::move(function)));
  return jinja::Value(std::move(out));
}

// Templates ask whether a field is defined: absent ones stay out.
jinja::Value message_value(const ChatMessage& message) {
  jinja::Map fields;
  fields.items.emplace_back("role", jinja::Value(message.role));
  fields.items.emplace_back("content", jinja::Value(message.content));
  if (!message.reasoning.empty()) fields.items.emplace_back("reasoning_content", jinja::Value(message.reasoning));
  if (!message.tool_call_id.empty()) fields.items.emplace_back("tool_call_id", jinja::Value(message.tool_call_id));
  if (!message.tool_calls.empty()) {
    jinja::List calls;
    for (const ToolCall& call : message.tool_calls) calls.push_back(tool_call_value(call));
    fields.items.emplace_back("tool_calls", jinja::Value(std::move(calls)));
  }
  return jinja::Value(std::move(fields));
}

}  // namespace

Result<std::string> ChatTemplate::render(const TemplateInput& input) const {
  jinja::List messages;
  messages.reserve(input.messages.size());
  for (const auto& message : input.messages) messages.push_back(message_value(message));
  jinja::Interpreter run(program_->limits, input.now);
  run.set("messages", std::move(messages));
  run.set("add_generation_prompt", input.add_generation_prompt);
  run.set("bos_token", input.bos_token);
  run.set("eos_token", input.eos_token);
  run.set("tools", jinja::None{});
  run.set("documents", jinja::None{});
  if (!input.tools_json.empty()) {
    auto tools = parse_json(input.tools_json);
    if (!tools) return fail(std::move(tools).error().in("tools"));
    run.set("tools", jinja::from_json(*tools));
  }
  if (!input.extra_json.empty()) {
    auto extra = parse_json(input.extra_json);
    if (!extra) return fail(std::move(extra).error().in("template variables"));
    if (!extra->is_object()) return fail(ErrorCode::kInvalidArgument, "template variables must be a JSON object");
    for (const auto& [name, value] : extra->get_object()) run.set(std::string(name), jinja::from_json(value));
  }
  return run.run(program_->body);
}

}  // namespace stoa::models
