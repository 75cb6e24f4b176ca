#include "models/engine/prompt.h"

#include <algorithm>

#include "base/json.h"
#include "base/time.h"
#include "models/tools/answer_grammar.h"

namespace stoa::models {
namespace {

// Put behind the first byte of a control token's text in a message, and taken out again when the rendered text is encoded.
// U+FDD0 is a noncharacter: Unicode reserves it for such use inside a program, and no text that people exchange has it.
constexpr std::string_view kMark = "\xEF\xB7\x90";

Result<ChatTemplate> parse_template(std::string_view source) {
  if (source.empty()) {
    return fail(error(ErrorCode::kUnsupported, "the model has no chat template").with_hint("Use it for plain completions, or take an instruct model."));
  }
  auto parsed = ChatTemplate::parse(std::string(source));
  if (!parsed) return fail(std::move(parsed.error()).in("the model's chat template"));
  return parsed;
}

std::string without_marks(std::string_view text) {
  std::string out;
  for (;;) {
    const auto at = text.find(kMark);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    text.remove_prefix(at + kMark.size());
  }
}

}  // namespace

PromptBuilder::PromptBuilder(const Tokenizer& tokenizer, std::string_view source, std::string tool_pattern)
    : tokenizer_(tokenizer), template_(parse_template(source)), known_format_(detect_tool_format(source)) {
  if (wants_tools_in_message(source)) writing_ = ToolWriting{ToolFormat::kTagged, "<|tool|>{tools}<|/tool|>"};
  else if (!known_format_) writing_ = ToolWriting{ToolFormat::kHermes, std::move(tool_pattern)};

  for (std::int32_t id = 0; id < tokenizer.size(); ++id) {
    if (tokenizer.is_control(id) && tokenizer.token_text(id).size() > 1) controls_.emplace_back(tokenizer.token_text(id), id);
  }
  for (const auto& [text, id] : controls_) first_bytes_.set(static_cast<unsigned char>(text.front()));
  std::ranges::stable_sort(controls_, [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
}

Result<Prompt> PromptBuilder::build(const ChatRequest& request) const {
  if (std::ranges::any_of(request.messages, [](const ChatMessage& message) { return !message.images.empty(); }))
    return fail(error(ErrorCode::kUnsupported, "this model reads text, and no images").with_hint("name a model of a provider that takes images").with_param("messages"));
  Prompt out;
  const auto bos = tokenizer_.special().bos;
  if (tokenizer_.adds_bos() && bos != kNoToken) out.tokens.push_back(bos);
  if (request.messages.empty() && !request.suffix.empty()) {
    STOA_CHECK(add_gap(request, out.tokens));
    return out;
  }
  if (request.messages.empty()) {
    tokenizer_.encode(request.prompt, {.add_special = false, .parse_special = true}, out.tokens);
    if (out.tokens.empty()) return fail(error(ErrorCode::kInvalidArgument, "the prompt is empty").with_param("prompt"));
    if (template_) out.reasoning = detect_reasoning(template_->source(), request.prompt);
    return out;
  }
  STOA_TRY(text, render(request));
  out.reasoning = detect_reasoning(template_->source(), text);
  encode(text, out.tokens);
  if (out.tokens.empty()) return fail(error(ErrorCode::kInvalidArgument, "the messages are empty").with_param("messages"));
  return out;
}

Status PromptBuilder::add_gap(const ChatRequest& request, std::vector<std::int32_t>& out) const {
  const SpecialTokens& special = tokenizer_.special();
  if (!special.fills_in())
    return fail(error(ErrorCode::kUnsupported, "'{}' cannot fill in the middle: its vocabulary has no tokens for that", request.model)
                    .with_hint("leave 'suffix' out, or name a model that was trained for it, as many models for code are")
                    .with_param("suffix"));
  const EncodeOptions as_text{.add_special = false, .parse_special = false};
  out.push_back(special.fim_prefix);
  tokenizer_.encode(request.prompt, as_text, out);
  out.push_back(special.fim_suffix);
  tokenizer_.encode(request.suffix, as_text, out);
  out.push_back(special.fim_middle);
  return {};
}

Result<std::string> PromptBuilder::render(const ChatRequest& request) const {
  if (!template_) return fail(template_.error());
  std::vector<ChatMessage> messages;
  for (const ChatMessage& message : request.messages) {
    STOA_TRY(safe, disarmed(message));
    messages.push_back(std::move(safe));
  }
  std::vector<ToolDefinition> tools;
  if (offers_tools(request)) tools = request.tools;
  for (ToolDefinition& tool : tools) {
    tool.description = disarm(tool.description);
    if (tool.parameters.empty()) continue;
    auto parameters = disarm_json(tool.parameters);
    if (!parameters) return fail(std::move(parameters.error()).in(fmt::format("the parameters of tool '{}'", tool.name)).with_param("tools"));
    tool.parameters = std::move(*parameters);
  }
  TemplateInput input;
  if (!writing_) {
    if (!tools.empty()) {
      STOA_TRY(json, tools_json(tools));
      input.tools_json = std::move(json);
    }
  } else {
    if (!tools.empty() && writing_->pattern.empty()) {
      return fail(error(ErrorCode::kUnsupported, "the model's chat template knows no tools").with_param("tools").with_hint("Use a model that was trained to call tools."));
    }
    STOA_TRY(written, write_out_tools(messages, tools, *writing_));
    messages = std::move(written);
  }
  const auto text_of = [&](TokenId id) { return id == kNoToken ? std::string() : std::string(tokenizer_.token_text(id)); };
  input.messages = messages;
  input.bos_token = tokenizer_.adds_bos() ? std::string() : text_of(tokenizer_.special().bos);
  input.eos_token = text_of(tokenizer_.special().eos);
  input.now = Clock::system().now();
  auto rendered = template_->render(input);
  if (!rendered) return fail(std::move(rendered.error()).with_param("messages"));
  return rendered;
}

Result<ChatMessage> PromptBuilder::disarmed(const ChatMessage& message) const {
  ChatMessage out = message;
  out.content = disarm(message.content);
  out.reasoning = disarm(message.reasoning);
  for (ToolCall& call : out.tool_calls) {
    call.name = disarm(call.name);
    auto arguments = disarm_json(call.arguments.empty() ? "{}" : call.arguments);
    if (!arguments) return fail(std::move(arguments.error()).in(fmt::format("the arguments of tool call '{}'", call.id)).with_param("messages"));
    call.arguments = std::move(*arguments);
  }
  return out;
}

// Written anew first, since escapes ("\u003c") could hide a control token from the search, but not from the template.
Result<std::string> PromptBuilder::disarm_json(std::string_view json) const {
  STOA_TRY(value, parse_json(json));
  return disarm(dump_json(value));
}

// Length and id of the control token that `text` begins with; 0 when it begins with none.
std::size_t PromptBuilder::control_at(std::string_view text, std::int32_t& token) const {
  if (text.empty() || !first_bytes_.test(static_cast<unsigned char>(text.front()))) return 0;
  for (const auto& [name, id] : controls_) {
    if (text.starts_with(name)) {
      token = id;
      return name.size();
    }
  }
  return 0;
}

std::string PromptBuilder::disarm(std::string_view content) const {
  const std::string plain = without_marks(content);
  std::string out;
  std::int32_t token = 0;
  for (std::size_t i = 0; i < plain.size(); ++i) {
    out += plain[i];
    if (control_at(std::string_view(plain).substr(i), token) > 0) out += kMark;
  }
  return out;
}

void PromptBuilder::encode(std::string_view text, std::vector<std::int32_t>& out) const {
  const EncodeOptions as_text{.add_special = false, .parse_special = false};
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::int32_t token = 0;
    const auto size = control_at(text.substr(i), token);
    if (size == 0) {
      ++i;
      continue;
    }
    if (i > begin) tokenizer_.encode(without_marks(text.substr(begin, i - begin)), as_text, out);
    out.push_back(token);
    begin = i += size;
  }
  if (begin < text.size()) tokenizer_.encode(without_marks(text.substr(begin)), as_text, out);
}

}  // namespace stoa::models
