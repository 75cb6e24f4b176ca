#include "models/tools/tool_grammar.h"

#include <algorithm>

#include "models/tools/parameters.h"

namespace stoa::models {
namespace {

using Kind = GrammarPart::Kind;

GrammarPart text(std::string text) { return {.kind = Kind::kText, .text = std::move(text)}; }
GrammarPart regex(std::string text) { return {.kind = Kind::kRegex, .text = std::move(text)}; }
GrammarPart sequence(std::vector<GrammarPart> parts) { return {.kind = Kind::kSequence, .parts = std::move(parts)}; }
GrammarPart choice_of(std::vector<GrammarPart> parts) { return {.kind = Kind::kChoice, .parts = std::move(parts)}; }
GrammarPart repeat(GrammarPart part, int min, int max) { return {.kind = Kind::kRepeat, .parts = {std::move(part)}, .min = min, .max = max}; }
GrammarPart without(std::vector<std::string> words) { return {.kind = Kind::kTextWithout, .words = std::move(words)}; }

Status check(const ToolDefinition& tool, const GrammarLimits& limits) {
  const bool named = !tool.name.empty() && tool.name.size() <= 64 &&
                     std::ranges::all_of(tool.name, [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; });
  if (!named) return fail(error(ErrorCode::kInvalidArgument, "the tool's name '{}' is not 1 to 64 letters, digits, '_' or '-'", tool.name.substr(0, 80)).with_param("tools"));
  if (!tool.strict || tool.parameters.empty()) return {};
  // By itself first, so that the message names the tool and the place in its schema.
  auto alone = Grammar::from_json_schema(tool.parameters, limits);
  if (!alone) return fail(std::move(alone).error().in(fmt::format("tool '{}'", tool.name)).with_param("tools"));
  return {};
}

// {"name": "f", "arguments": {...}}, or as the format has it.
Result<GrammarPart> call(const ToolDefinition& tool, ToolFormat format, const GrammarLimits& limits) {
  if (format == ToolFormat::kParameters) {
    auto parameters = parameter_grammar(tool);
    auto alone = parameters ? Grammar::from_parts(*parameters, limits) : fail(parameters.error());
    if (!alone) return fail(std::move(alone).error().in(fmt::format("tool '{}'", tool.name)).with_param("tools"));
    return sequence({text("<function=" + tool.name + ">\n"), std::move(*parameters), text("</function>")});
  }
  const bool free = !tool.strict || tool.parameters.empty();
  GrammarPart arguments{.kind = Kind::kSchema, .text = free ? R"({"type":"object"})" : tool.parameters};
  if (format == ToolFormat::kMistral11) return sequence({text("[TOOL_CALLS]" + tool.name + "[ARGS]"), std::move(arguments)});
  const std::string_view key = format == ToolFormat::kLlama3 ? "parameters" : "arguments";
  return sequence({text("{\"name\":"), regex(" ?"), text("\"" + tool.name + "\","), regex(" ?"), text(fmt::format("\"{}\":", key)), regex(" ?"),
                   std::move(arguments), text("}")});
}

GrammarPart answer(const GrammarPart& any_call, bool required, const ToolGrammarOptions& options) {
  if (options.text && !required) return choice_of({answer(any_call, true, options), *options.text});
  const int more = options.parallel ? std::max(1, options.max_calls) - 1 : 0;
  switch (options.format) {
    case ToolFormat::kHermes:
    case ToolFormat::kParameters: {
      const GrammarPart whole = sequence({text("<tool_call>"), regex("\\n?"), any_call, regex("\\n?"), text("</tool_call>")});
      const GrammarPart calls = sequence({whole, repeat(sequence({regex("\\n?"), whole}), 0, more)});
      if (required) return calls;
      const GrammarPart free = without({"<tool_call>"});
      return sequence({free, repeat(sequence({whole, free}), 0, more + 1)});
    }
    case ToolFormat::kLlama3: {
      const GrammarPart calls = sequence({repeat(text("<|python_tag|>"), 0, 1), any_call, repeat(sequence({regex("; ?"), any_call}), 0, more)});
      if (required) return calls;
      return choice_of({calls, text(""), sequence({regex("[^{<\\s]|<[^|]"), without({"<|python_tag|>"})})});
    }
    case ToolFormat::kMistral:
    case ToolFormat::kTagged: {
      const bool tagged = options.format == ToolFormat::kTagged;
      const std::string marker = tagged ? "<|tool_call|>" : "[TOOL_CALLS]";
      const GrammarPart calls = sequence({text(marker), regex(" ?"), text("["), any_call, repeat(sequence({regex(", ?"), any_call}), 0, more), text("]"),
                                          repeat(text("<|/tool_call|>"), 0, tagged ? 1 : 0)});
      if (required) return calls;
      return sequence({without({marker}), repeat(calls, 0, 1)});
    }
    case ToolFormat::kMistral11: {
      const GrammarPart calls = sequence({any_call, repeat(any_call, 0, more)});
      if (required) return calls;
      return sequence({without({"[TOOL_CALLS]"}), repeat(calls, 0, 1)});
    }
  }
  return text("");
}

}  // namespace

GrammarPart reasoning_part(Reasoning kind) {
  const std::string open(kind.tags.open), close(kind.tags.close);
  const GrammarPart rest = sequence({without({close}), text(close), regex("\\n{0,2}")});
  if (kind == Reasoning::kOpened) return rest;
  if (kind == Reasoning::kPossible) return repeat(sequence({text(open), rest}), 0, 1);
  return text("");
}

Result<Grammar> tool_grammar(std::span<const ToolDefinition> tools, const ToolChoice& choice, const ToolGrammarOptions& options, const GrammarLimits& limits) {
  if (tools.empty()) return fail(error(ErrorCode::kInvalidArgument, "there are no tools to call").with_param("tools"));
  std::vector<GrammarPart> calls;
  for (const ToolDefinition& tool : tools) {
    STOA_CHECK(check(tool, limits));
    if (choice.mode == ToolChoice::Mode::kNamed && tool.name != choice.name) continue;
    STOA_TRY(part, call(tool, options.format, limits));
    calls.push_back(std::move(part));
  }
  if (calls.empty()) return fail(error(ErrorCode::kInvalidArgument, "tool_choice names '{}', which is not among the tools", choice.name).with_param("tool_choice"));
  const bool required = choice.mode != ToolChoice::Mode::kAuto;
  return Grammar::from_parts(sequence({reasoning_part(options.reasoning), answer(choice_of(std::move(calls)), required, options)}), limits);
}

}  // namespace stoa::models
