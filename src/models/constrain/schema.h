// JSON Schema read into syntax.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "models/constrain/json_syntax.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

Result<Json> parse_schema(std::string_view text, const GrammarLimits& limits);

// The language of a schema's values, as JSON text; `reference` ("#", "#/properties/a") says where in the document it stands.
// kInvalidArgument names path and keyword.
Result<NodeId> read_schema(Syntax& syntax, JsonSyntax& json, const Json& document, std::string_view reference);

// The same for a schema of strings, or null: their characters as they are, without quotes, and none of `words` in them. Strings of bounded
// length do not even have the first character of a word: counting and looking for words at once would take a state for every length.
Result<NodeId> read_schema_text(Syntax& syntax, JsonSyntax& json, const Json& document, std::string_view reference, std::span<const std::string> words);

}  // namespace stoa::models::constrain
