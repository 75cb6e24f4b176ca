// JSON Schema read into syntax.
#pragma once

#include <string_view>

#include "base/result.h"
#include "models/constrain/json_syntax.h"
#include "models/constrain/syntax.h"

namespace stoa::models::constrain {

// The language of the schema's values, as JSON text. kInvalidArgument names path and keyword.
Result<NodeId> read_schema(Syntax& syntax, JsonSyntax& json, std::string_view schema);

}  // namespace stoa::models::constrain
