// Identifiers: a prefix that says the kind, then 26 characters of time and randomness ("doc_01jd...").
// Those of one process sort in the order they were made, those of several by time to the millisecond (ULID layout, Crockford base 32,
// lower case). 40 bits of each are random beyond that order: hard to guess, but no secrets.
#pragma once

#include <string>
#include <string_view>

namespace stoa {

std::string new_id(std::string_view prefix);

// True for text that new_id(prefix) could have made. Use it before an id from outside reaches a path or a query.
bool is_id(std::string_view text, std::string_view prefix);

}  // namespace stoa
