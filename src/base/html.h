// Text on its way into a page.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"

namespace stoa {

// With the five characters that mean something in HTML as entities: safe between tags and in quoted attributes.
std::string html_escaped(std::string_view text);
// The same value with every string in it, names of members included, escaped.
Json html_escaped(const Json& value);

}  // namespace stoa
