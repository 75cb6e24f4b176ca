// Attributes of documents as people write them on the command line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace stoa::cli {

// A number or a truth value where the text reads as one, otherwise the text.
Json attribute_value(std::string_view text);

// "year=2024" for each attribute. kInvalidArgument for what has no name or no '=', and for a name that comes twice.
Result<JsonObject> parse_attributes(const std::vector<std::string>& texts);

}  // namespace stoa::cli
