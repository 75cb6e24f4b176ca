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

Result<std::string> ChatTemplate::render(const TemplateInput& input) const {
  jinja::List messages;
  messages.reserve(input.messages.size());
  for (const auto& message : input.messages) {
    jinja::Map fields;
    fields.items.emplace_back("role", jinja::Value(message.role));
    fields.items.emplace_back("content", jinja::Value(message.content));
    messages.emplace_back(std::move(fields));
  }
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
