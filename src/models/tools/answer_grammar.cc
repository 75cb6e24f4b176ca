#include "models/tools/answer_grammar.h"

#include <optional>

#include "models/tools/tool_grammar.h"

namespace stoa::models {
namespace {

using Kind = AnswerConstraint::Kind;

Result<Grammar> compile(const AnswerConstraint& constraint, const GrammarLimits& limits) {
  switch (constraint.kind) {
    case Kind::kJsonObject: return Grammar::from_json_object(limits);
    case Kind::kJsonSchema: return Grammar::from_json_schema(constraint.text, limits);
    case Kind::kRegex: return Grammar::from_regex(constraint.text, limits);
    case Kind::kGbnf: return Grammar::from_gbnf(constraint.text, limits);
  }
  return fail(ErrorCode::kInternal, "a constraint of an unknown kind");
}

GrammarPart part(const AnswerConstraint& constraint) {
  if (constraint.kind == Kind::kJsonObject) return {.kind = GrammarPart::Kind::kSchema, .text = R"({"type":"object"})"};
  return {.kind = constraint.kind == Kind::kRegex ? GrammarPart::Kind::kRegex : GrammarPart::Kind::kSchema, .text = constraint.text};
}

// By its length, so that no text can pass for another.
void add(std::string& key, std::string_view text) { key += fmt::format("{}:{},", text.size(), text); }

}  // namespace

bool offers_tools(const ChatRequest& request) { return !request.tools.empty() && request.tool_choice.mode != ToolChoice::Mode::kNone; }
bool has_grammar(const ChatRequest& request) { return request.constraint || offers_tools(request); }

Result<Grammar> answer_grammar(const ChatRequest& request, ToolFormat format, Reasoning reasoning, const GrammarLimits& limits) {
  std::optional<GrammarPart> text;
  if (request.constraint) {
    const AnswerConstraint& constraint = *request.constraint;
    // By itself first: errors then speak of the caller's text only.
    auto alone = compile(constraint, limits);
    if (!alone) return fail(std::move(alone).error().with_param(constraint.field));
    const bool gbnf = constraint.kind == Kind::kGbnf;
    if (gbnf && (offers_tools(request) || reasoning == Reasoning::kOpened)) {
      return fail(error(ErrorCode::kUnsupported, "a grammar describes the whole answer, and {}", offers_tools(request) ? "tool calls have one of their own" : "this model's begins with reasoning")
                      .with_param(constraint.field)
                      .with_hint("Use a JSON schema or a regular expression."));
    }
    if (!offers_tools(request) && (gbnf || reasoning == Reasoning::kNone)) return alone;
    text = part(constraint);
  }
  if (offers_tools(request)) {
    return tool_grammar(request.tools, request.tool_choice,
                        {.format = format, .reasoning = reasoning, .parallel = request.parallel_tool_calls, .text = std::move(text)}, limits);
  }
  return Grammar::from_parts({.kind = GrammarPart::Kind::kSequence, .parts = {reasoning_part(reasoning), std::move(*text)}}, limits);
}

std::string grammar_key(const ChatRequest& request, ToolFormat format, Reasoning reasoning) {
  std::string key = fmt::format("{}{}{}", static_cast<int>(format), static_cast<int>(reasoning.kind), reasoning.tags.open);
  if (request.constraint) {
    key += fmt::format("c{}", static_cast<int>(request.constraint->kind));
    add(key, request.constraint->text);
  }
  if (!offers_tools(request)) return key;
  key += fmt::format("t{}{}", static_cast<int>(request.tool_choice.mode), static_cast<int>(request.parallel_tool_calls));
  add(key, request.tool_choice.name);
  for (const ToolDefinition& tool : request.tools) {
    add(key, tool.name);
    add(key, tool.strict ? tool.parameters : "");
  }
  return key;
}

}  // namespace stoa::models
