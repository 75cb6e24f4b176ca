// The parameters of tools where each stands between tags of its own (ToolFormat::kParameters): a value that can only be a string is written
// as it is, any other as JSON.
#pragma once

#include <map>
#include <span>
#include <string>

#include "base/result.h"
#include "contracts/chat.h"
#include "models/constrain/grammar.h"

namespace stoa::models {

// How a value between the tags is to be read.
enum class ValueForm {
  kAny,         // JSON where it is JSON, else text
  kText,        // as it is
  kTextOrNull,  // as it is, except for the word null
  kJson,        // no string: JSON, or a word of Python that means the same
};
using ParameterForms = std::map<std::string, std::map<std::string, ValueForm, std::less<>>, std::less<>>;  // by tool and parameter

// What the tools' schemas say about their parameters; those not in it are kAny.
ParameterForms parameter_forms(std::span<const ToolDefinition> tools);

// The parameters of one call, each with its tags and the line's end behind it. Strict tools: those of the schema in its order, with values
// that conform; others: any. Errors: kInvalidArgument (a schema that is no list of properties, a name that cannot stand in a tag).
Result<GrammarPart> parameter_grammar(const ToolDefinition& tool);

}  // namespace stoa::models
