// The grammar of answers that may, or have to, call tools: every call in them is whole, names a tool of the list, and has arguments that
// are a JSON object (strict tools: that conform to their schema).
#pragma once

#include <optional>
#include <span>

#include "base/result.h"
#include "models/constrain/grammar.h"
#include "models/tools/tool_format.h"

namespace stoa::models {

struct ToolGrammarOptions {
  ToolFormat format = ToolFormat::kHermes;
  Reasoning reasoning = Reasoning::kNone;
  bool parallel = true;       // more than one call in an answer
  int max_calls = 16;
  std::optional<GrammarPart> text;  // what an answer without calls has to be; nullopt: any text
};

// With ToolChoice::kAuto the answer is free text until the marker that opens a call is written; from there on the call's grammar holds.
// (Llama 3 has no marker: there an answer that begins with '{' is a call.) With kRequired and kNamed it begins with a call, after the
// reasoning if there is any. Errors: kInvalidArgument (no tools, an unknown or impossible name, a schema; `param` names the tool),
// kTooLarge.
// With `text` an answer is either calls or that.
Result<Grammar> tool_grammar(std::span<const ToolDefinition> tools, const ToolChoice& choice, const ToolGrammarOptions& options, const GrammarLimits& limits = {});

// What may, or has to, stand before the answer itself.
GrammarPart reasoning_part(Reasoning kind);

}  // namespace stoa::models
