// Attributes of files and filters over them: the wire's JSON <-> data/index/attributes.h.
#pragma once

#include <string>

#include "data/index/attributes.h"
#include "gateway/api/fields.h"

namespace stoa::gateway::openai {

// {"type": "eq", "key": "year", "value": 2024} or {"type": "and", "filters": [...]}. `path` names the filter in errors.
Result<data::Filter> parse_filter(const JsonObject& object, const std::string& path);

// Absent means none.
Result<data::Attributes> parse_attributes(const Fields& body, std::string_view key = "attributes");
JsonObject attributes_json(const data::Attributes& attributes);

}  // namespace stoa::gateway::openai
