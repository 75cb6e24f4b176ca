// The grammar of the answer to a request: reasoning where the model reasons, then tool calls or what the request's constraint asks for.
#pragma once

#include <string>

#include "base/result.h"
#include "contracts/chat.h"
#include "models/constrain/grammar.h"
#include "models/tools/tool_format.h"

namespace stoa::models {

// Tools that the model may use in this answer: with ToolChoice::kNone there are none.
bool offers_tools(const ChatRequest& request);
// Otherwise any text will do.
bool has_grammar(const ChatRequest& request);

// Errors: kInvalidArgument with `param` set (tools, tool_choice, the constraint's field), kTooLarge, kUnsupported (GBNF beside tools, or
// for a model whose answers begin inside its reasoning).
Result<Grammar> answer_grammar(const ChatRequest& request, ToolFormat format, Reasoning reasoning, const GrammarLimits& limits = {});

// The same text for requests with the same grammar, and only for them.
std::string grammar_key(const ChatRequest& request, ToolFormat format, Reasoning reasoning);

}  // namespace stoa::models
