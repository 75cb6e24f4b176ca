// Identifiers: a prefix that says the kind, then 26 characters of time and randomness ("doc_01jd...").
// They sort by creation time (ULID order, Crockford base 32, lower case) and carry 80 random bits.
#pragma once

#include <string>
#include <string_view>

namespace stoa {

std::string new_id(std::string_view prefix);

// True for text that new_id(prefix) could have made. Use it before an id from outside reaches a path or a query.
bool is_id(std::string_view text, std::string_view prefix);

}  // namespace stoa
